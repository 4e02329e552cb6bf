{{/* What the discovering account may do. It reads no Secret, and there is no wildcard. */}}

{{/* In each namespace that is looked into. */}}
{{- define "dynamic-toolset.discoveryRules" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
# Not used: the runbook asks whether it may.
- apiGroups: [""]
  resources: [endpoints]
  verbs: [list]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [kubernaut.io]
  resources: [servicepatterns]
  verbs: [list, watch]
# Only the condition that tells an author what became of a pattern.
- apiGroups: [kubernaut.io]
  resources: [servicepatterns/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{ include "dynamic-toolset.generatedRules" . }}
{{- end }}

{{/* The generated ConfigMaps. Kubernetes cannot limit `create` to a name, but for server-side apply, which names what it
     creates. */}}
{{- define "dynamic-toolset.generatedRules" -}}
{{- if .Values.rbac.leastPrivilege -}}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubernaut-toolset-config]
  verbs: [get, list, watch, create, patch, delete]
{{- else -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubernaut-toolset-config]
  verbs: [patch, delete]
{{- end -}}
{{- end }}

{{/* In the service's own namespace, besides. */}}
{{- define "dynamic-toolset.homeRules" -}}
# Its configuration, which it creates where there is none, and people's wishes, which it never writes.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubernaut-dynamic-toolset-config]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubernaut-toolset-overrides]
  verbs: [get, list, watch]
{{ include "dynamic-toolset.generatedRules" . }}
# The Lease that says which replica writes; `create` cannot be limited to a name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [dynamic-toolset-leader]
  verbs: [get, update]
{{- if eq (include "dynamic-toolset.writer" .) "deployment" }}
# `kubectl annotate deployment` asks for a pass at once.
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ include "dynamic-toolset.name" . }}]
  verbs: [list, watch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
