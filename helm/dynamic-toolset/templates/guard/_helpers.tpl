{{/* What the guard's templates share. */}}

{{- define "dynamic-toolset.guard.name" -}}
{{- include "dynamic-toolset.named" (list . "kubernaut-toolset-webhook") -}}
{{- end }}

{{/* webhook, policy, both or off. (YAML reads a bare off as false.) By default who writes ConfigMaps guards them. */}}
{{- define "dynamic-toolset.guard.mode" -}}
{{- $writes := or (eq (include "dynamic-toolset.writer" .) "deployment") (include "dynamic-toolset.ownIdentity" .) -}}
{{- toString .Values.guard.mode | replace "false" "off" | default (ternary "webhook" "off" (not (not $writes))) -}}
{{- end }}

{{/* "true" where there is a webhook, or nothing. */}}
{{- define "dynamic-toolset.guard.webhook" -}}
{{- if has (include "dynamic-toolset.guard.mode" .) (list "webhook" "both") }}true{{ end -}}
{{- end }}

{{/* "true" where there is a policy, or nothing. */}}
{{- define "dynamic-toolset.guard.policy" -}}
{{- if has (include "dynamic-toolset.guard.mode" .) (list "policy" "both") }}true{{ end -}}
{{- end }}

{{- define "dynamic-toolset.guard.secretName" -}}
{{- .Values.guard.certificate.secretName | default (include "dynamic-toolset.guard.name" .) -}}
{{- end }}

{{/* Accounts that write what is generated, as {accounts: [namespace/name…]}: the service's own, then others'. */}}
{{- define "dynamic-toolset.guard.accounts" -}}
{{- $own := printf "%s/%s" .Release.Namespace (include "dynamic-toolset.serviceAccountName" .) -}}
{{- dict "accounts" (uniq (prepend .Values.guard.serviceAccounts $own)) | toYaml -}}
{{- end }}

{{/* The webhook's guard.yaml. */}}
{{- define "dynamic-toolset.guard.config" -}}
guard:
  name: {{ include "dynamic-toolset.guard.name" . }}
  enforce: {{ .Values.guard.enforce }}
  protect_delete: {{ .Values.guard.protectDelete }}
  service_accounts: {{ (include "dynamic-toolset.guard.accounts" . | fromYaml).accounts | toJson }}
  trusted_users: {{ .Values.guard.trustedUsers | toJson }}
  trusted_groups: {{ .Values.guard.trustedGroups | toJson }}
  failure_policy: {{ .Values.guard.failurePolicy }}
  timeout: {{ .Values.guard.timeoutSeconds }}s
  certificate:
    mode: {{ .Values.guard.certificate.mode }}
    secret: {{ include "dynamic-toolset.guard.secretName" . }}
{{- end }}

{{/* Namespaces whose HolmesGPT gets the sidecar, as {namespaces: […]}. */}}
{{- define "dynamic-toolset.injection.namespaces" -}}
{{- dict "namespaces" (.Values.injection.namespaces | default (list (.Values.holmesgpt.namespace | default .Release.Namespace))) | toYaml -}}
{{- end }}

{{/* The webhook's injection.yaml: what HolmesGPT's chart would include, by the same templates. */}}
{{- define "dynamic-toolset.injection.config" -}}
injection:
  namespaces: {{ (include "dynamic-toolset.injection.namespaces" . | fromYaml).namespaces | toJson }}
  labels: {{ .Values.injection.podLabels | toJson }}
  container: {{ .Values.injection.container }}
  init_containers: {{ include "dynamic-toolset.initContainers" . | fromYamlArray | toJson }}
  volumes: {{ include "dynamic-toolset.volumes" . | fromYamlArray | toJson }}
  volume_mounts: {{ include "dynamic-toolset.volumeMounts" . | fromYamlArray | toJson }}
  env: {{ include "dynamic-toolset.env" . | fromYamlArray | toJson }}
{{- end }}

{{- define "dynamic-toolset.injection.validate" -}}
{{- if not (include "dynamic-toolset.guard.webhook" .) -}}
{{- fail (printf "dynamic-toolset: injection.enabled needs the webhook, and guard.mode is %s: set it to webhook or both" (include "dynamic-toolset.guard.mode" .)) -}}
{{- end -}}
{{- if include "dynamic-toolset.ownIdentity" . -}}
{{- range (include "dynamic-toolset.injection.namespaces" . | fromYaml).namespaces -}}
{{- if ne . $.Release.Namespace -}}
{{- fail (printf "dynamic-toolset: injection.namespaces: the sidecar's token is in namespace %s alone, not in %s: install the chart there, or set writer=deployment" $.Release.Namespace .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "dynamic-toolset.guard.validate" -}}
{{- if .Values.injection.enabled }}{{ include "dynamic-toolset.injection.validate" . }}{{ end -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- if and (include "dynamic-toolset.guard.policy" .) (semverCompare "<1.30.0-0" $version) -}}
{{- fail (printf "dynamic-toolset: guard.mode=%s needs ValidatingAdmissionPolicy, which Kubernetes has from 1.30; this is %s. Use guard.mode=webhook" .Values.guard.mode $version) -}}
{{- end -}}
{{- if and (eq .Values.guard.certificate.mode "existing") (not .Values.guard.certificate.secretName) -}}
{{- fail "dynamic-toolset: guard.certificate.mode is existing, so guard.certificate.secretName must say which Secret holds tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- end }}
