{{/* The sidecar in HolmesGPT's pod, for HolmesGPT's chart to include:

       {{- with index .Subcharts "dynamic-toolset" }}{{ include "dynamic-toolset.initContainers" . | nindent 6 }}{{ end }}

     and likewise `volumes`, `volumeMounts` (of the container "holmes") and `env`. Each gives the items of a list. */}}

{{/* Where HolmesGPT's container sees the file. Not /etc/holmes/config: HolmesGPT's own is mounted there. */}}
{{- define "dynamic-toolset.directory" -}}/etc/holmes/discovered{{- end }}

{{- define "dynamic-toolset.initContainers" -}}
{{- include "dynamic-toolset.checkCluster" . -}}
- name: dynamic-toolset
  image: {{ include "dynamic-toolset.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run]
  # A native sidecar: it starts before HolmesGPT, runs beside it and ends after it.
  restartPolicy: Always
  env:
  - name: DYNAMIC_TOOLSET_SIDECAR
    value: "true"
  - name: DYNAMIC_TOOLSET_FILE
    value: {{ include "dynamic-toolset.directory" . }}/custom_toolset.yaml
  - name: DYNAMIC_TOOLSET_BASE
    value: /etc/holmes/config/custom_toolset.yaml
  - name: DYNAMIC_TOOLSET_HTTP
    value: {{ printf "%s:%v" .Values.listenAddress (int .Values.sidecar.httpPort) | quote }}
  - name: DYNAMIC_TOOLSET_METRICS
    value: {{ printf "%s:%v" .Values.listenAddress (int .Values.sidecar.metricsPort) | quote }}
  {{- include "dynamic-toolset.commonEnv" . | nindent 2 }}
  {{- include "dynamic-toolset.podEnv" . | nindent 2 }}
  {{- if not (include "dynamic-toolset.ownIdentity" .) }}
  - name: DYNAMIC_TOOLSET_CONFIG_MAPS
    value: "false"
  {{- end }}
  ports:
  - name: toolset-http
    containerPort: {{ .Values.sidecar.httpPort }}
  - name: toolset-metrics
    containerPort: {{ .Values.sidecar.metricsPort }}
  # HolmesGPT starts when this says that the file is written. The sidecar writes one after 10 s at the latest.
  startupProbe:
    httpGet: {path: /startz, port: toolset-http}
    periodSeconds: 1
    timeoutSeconds: 1
    failureThreshold: 120
  # Patient: while a sidecar is down, its pod is out of service. No readinessProbe, for the same reason.
  livenessProbe:
    httpGet: {path: /health, port: toolset-http}
    periodSeconds: 30
    timeoutSeconds: 5
    failureThreshold: 6
  resources:
    {{- toYaml .Values.sidecar.resources | nindent 4 }}
  securityContext:
    {{- include "dynamic-toolset.securityContext" . | nindent 4 }}
  volumeMounts:
  - name: dynamic-toolset-file
    mountPath: {{ include "dynamic-toolset.directory" . }}
  # The volume of HolmesGPT's own toolset file, by its name in HolmesGPT's chart: the base, which wins.
  - name: custom-toolsets-configmap
    mountPath: /etc/holmes/config
    readOnly: true
  {{- if include "dynamic-toolset.ownIdentity" . }}
  # Without a slash at its end, or Kubernetes mounts the token of HolmesGPT's account over it.
  - name: dynamic-toolset-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- end }}
{{- end }}

{{- define "dynamic-toolset.volumes" -}}
- name: dynamic-toolset-file
  emptyDir:
    sizeLimit: 8Mi
{{- if include "dynamic-toolset.ownIdentity" . }}
# Optional, so that HolmesGPT starts also where it is missing: the sidecar then writes what HolmesGPT's base file says.
- name: dynamic-toolset-token
  secret:
    secretName: {{ include "dynamic-toolset.tokenSecret" . }}
    optional: true
{{- end }}
{{- end }}

{{- define "dynamic-toolset.volumeMounts" -}}
- name: dynamic-toolset-file
  mountPath: {{ include "dynamic-toolset.directory" . }}
  readOnly: true
{{- end }}

{{- define "dynamic-toolset.env" -}}
- name: CUSTOM_TOOLSET_LOCATION
  value: {{ include "dynamic-toolset.directory" . }}/custom_toolset.yaml
- name: TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS
  value: {{ .Values.sidecar.refreshSeconds | quote }}
{{- end }}
