{{/* What the schema cannot say: values that contradict each other, or the cluster. */}}

{{- define "dynamic-toolset.checkCluster" -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- fail (printf "dynamic-toolset: the sidecar needs native sidecars, which Kubernetes has from 1.29; this is %s. Set dynamic-toolset.enabled=false, or install the chart by itself." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end }}

{{- define "dynamic-toolset.validate" -}}
{{- if and .Values.namespaces (dig "service_discovery" "namespaces" list .Values.config) -}}
{{- fail "dynamic-toolset: namespaces and config.service_discovery.namespaces are both set: keep namespaces, which the rights follow" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) (ne (include "dynamic-toolset.writer" .) "none") -}}
{{- fail "dynamic-toolset: serviceAccount.create is false, so serviceAccount.name must say which account to use" -}}
{{- end -}}
{{- if and .Values.nameSuffix .Values.serviceAccount.name .Values.serviceAccount.create -}}
{{- fail "dynamic-toolset: set nameSuffix or serviceAccount.name, not both: the suffix is part of the account's name" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (ne (include "dynamic-toolset.writer" .) "deployment") -}}
{{- fail "dynamic-toolset: metrics.serviceMonitor is of the Deployment, which there is only with writer=deployment; use metrics.podMonitor" -}}
{{- end -}}
{{- if eq (int .Values.sidecar.httpPort) (int .Values.sidecar.metricsPort) -}}
{{- fail (printf "dynamic-toolset: sidecar.httpPort and sidecar.metricsPort are both %v: they must differ" (int .Values.sidecar.httpPort)) -}}
{{- end -}}
{{- range .Values.networkPolicy.apiServerCIDRs -}}
{{- if hasPrefix "169.254." . -}}
{{- fail (printf "dynamic-toolset: networkPolicy.apiServerCIDRs: %s is link-local, where clouds keep their metadata" .) -}}
{{- end -}}
{{- end -}}
{{- range $key, $_ := merge dict .Values.commonLabels .Values.podLabels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (hasPrefix "helm.sh/" $key) -}}
{{- fail (printf "dynamic-toolset: %s is a label of the chart's own: choose another for commonLabels and podLabels" $key) -}}
{{- end -}}
{{- end -}}
{{- $taken := list "POD_NAMESPACE" "POD_NAME" "CLUSTER_DOMAIN" "LOG_FORMAT" "LOG_LEVEL" "DYNAMIC_TOOLSET_HTTP" "DYNAMIC_TOOLSET_METRICS" "DYNAMIC_TOOLSET_DEPLOYMENT" "HOLMESGPT_NAMESPACE" "HOLMESGPT_VERSION" "HOLMESGPT_URL" -}}
{{- range .Values.extraEnv -}}
{{- if has .name $taken -}}
{{- fail (printf "dynamic-toolset: extraEnv: %s is set already, by the chart or by another entry" .name) -}}
{{- end -}}
{{- $taken = append $taken .name -}}
{{- end -}}
{{- end }}
