{{/* What several templates share. Each takes the chart's own scope. */}}

{{/* Who writes the ConfigMaps: deployment, sidecar or none. */}}
{{- define "dynamic-toolset.writer" -}}
{{- .Values.writer | default (ternary "deployment" "sidecar" .Chart.IsRoot) -}}
{{- end }}

{{/* The name that the runbook gives something, for this installation: list SCOPE NAME. */}}
{{- define "dynamic-toolset.named" -}}
{{- $scope := first . -}}
{{- last . }}{{ with $scope.Values.nameSuffix }}-{{ . }}{{ end -}}
{{- end }}

{{- define "dynamic-toolset.name" -}}
{{- include "dynamic-toolset.named" (list . "kubernaut-dynamic-toolsets") -}}
{{- end }}

{{- define "dynamic-toolset.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "dynamic-toolset.named" (list . "kubernaut-service-discovery")) -}}
{{- end }}

{{/* Whether the sidecar acts as that account: "true" or nothing. */}}
{{- define "dynamic-toolset.ownIdentity" -}}
{{- if and (eq (include "dynamic-toolset.writer" .) "sidecar") .Values.sidecar.ownIdentity }}true{{ end -}}
{{- end }}

{{/* The Secret that holds that account's token. A fixed name: HolmesGPT's values name it, too. */}}
{{- define "dynamic-toolset.tokenSecret" -}}
{{- include "dynamic-toolset.serviceAccountName" . }}-token
{{- end }}

{{/* What pods are selected by: list SCOPE COMPONENT. */}}
{{- define "dynamic-toolset.selectorLabels" -}}
app.kubernetes.io/name: kubernaut
app.kubernetes.io/component: {{ last . }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
{{- end }}

{{/* Labels of an object: list SCOPE COMPONENT. */}}
{{- define "dynamic-toolset.labels" -}}
{{- $scope := first . -}}
{{ include "dynamic-toolset.selectorLabels" . }}
app.kubernetes.io/version: {{ $scope.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $scope.Release.Service }}
helm.sh/chart: {{ $scope.Chart.Name }}-{{ $scope.Chart.Version | replace "+" "_" }}
{{- with $scope.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dynamic-toolset.image" -}}
{{- $global := .Values.global | default dict -}}
{{- with $global.imageRegistry | default .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* A list of names of Secrets, or nothing. Parents write names or {name: …}. */}}
{{- define "dynamic-toolset.imagePullSecrets" -}}
{{- $global := .Values.global | default dict -}}
{{- $names := list -}}
{{- range concat ($global.imagePullSecrets | default list) .Values.image.pullSecrets -}}
{{- if kindIs "map" . }}{{ $names = append $names .name }}{{ else }}{{ $names = append $names . }}{{ end -}}
{{- end -}}
{{- range uniq $names }}
- name: {{ . }}
{{- end }}
{{- end }}

{{/* "true" where OpenShift gives each namespace users and groups of its own. */}}
{{- define "dynamic-toolset.openshift" -}}
{{- if or (eq .Values.adaptSecurityContext "force") (and (eq .Values.adaptSecurityContext "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{ end -}}
{{- end }}

{{/* Of every container: Pod Security "restricted", and nothing writable. */}}
{{- define "dynamic-toolset.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- if not (include "dynamic-toolset.openshift" .) }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Environment that the Deployment and the sidecar have in common. */}}
{{- define "dynamic-toolset.commonEnv" -}}
- name: CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain | quote }}
- name: LOG_FORMAT
  value: {{ .Values.log.format }}
- name: LOG_LEVEL
  value: {{ .Values.log.level }}
{{- with .Values.holmesgpt.namespace }}
- name: HOLMESGPT_NAMESPACE
  value: {{ . }}
{{- end }}
{{- with .Values.holmesgpt.version }}
- name: HOLMESGPT_VERSION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.holmesgpt.url }}
- name: HOLMESGPT_URL
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Which pod this is: in its namespace the service reads its configuration, and writes ConfigMaps. */}}
{{- define "dynamic-toolset.podEnv" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
