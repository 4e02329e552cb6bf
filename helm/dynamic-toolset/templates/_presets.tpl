{{/* The runbook's tables: sizes ("Resource Recommendations") and profiles ("Performance Tuning"). */}}

{{- define "dynamic-toolset.sizes" -}}
small:
  replicas: 1
  resources:
    requests: {cpu: 100m, memory: 256Mi}
    limits: {cpu: 250m, memory: 512Mi}
medium:
  replicas: 2
  resources:
    requests: {cpu: 250m, memory: 512Mi}
    limits: {cpu: 500m, memory: 1Gi}
large:
  replicas: 2
  resources:
    requests: {cpu: 500m, memory: 1Gi}
    limits: {cpu: 1000m, memory: 2Gi}
xlarge:
  replicas: 3
  resources:
    requests: {cpu: 1000m, memory: 2Gi}
    limits: {cpu: 2000m, memory: 4Gi}
{{- end }}

{{- define "dynamic-toolset.profiles" -}}
default: {}
large:
  discovery_interval: 10m
  cache_ttl: 15m
  health_check_interval: 60s
fast:
  discovery_interval: 30s
  cache_ttl: 1m
  health_check_interval: 15s
{{- end }}

{{- define "dynamic-toolset.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{- dig .Values.size "replicas" 1 (include "dynamic-toolset.sizes" . | fromYaml) -}}
{{- else -}}
{{- .Values.replicas -}}
{{- end -}}
{{- end }}

{{- define "dynamic-toolset.resources" -}}
{{- .Values.resources | default (dig .Values.size "resources" dict (include "dynamic-toolset.sizes" . | fromYaml)) | toYaml -}}
{{- end }}

{{/* What `config`, `tuning` and `namespaces` ask for, as config.yaml; nothing where they ask for nothing. */}}
{{- define "dynamic-toolset.config" -}}
{{- $profile := get (include "dynamic-toolset.profiles" . | fromYaml) .Values.tuning -}}
{{- $scope := ternary (dict "namespaces" .Values.namespaces) dict (gt (len .Values.namespaces) 0) -}}
{{- $service := dict -}}
{{- range list $profile $scope (dig "service_discovery" dict .Values.config) -}}
{{- range $key, $value := . }}{{ $_ := set $service $key $value }}{{ end -}}
{{- end -}}
{{- with $service }}{{ dict "service_discovery" . | toYaml }}{{ end -}}
{{- end }}
