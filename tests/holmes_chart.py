"""A chart that prints the lists of its values as HolmesGPT's does, and the umbrella with it."""

import re
import shutil
from pathlib import Path

from tests.helm import CHART
from tests.realparts import ROOT

UMBRELLA = ROOT / "helm/holmesgpt-with-dynamic-toolset"
PARENT = {
    "values.yaml": """\
additionalEnvVars: []
additional_env_vars: []
additionalVolumes: []
additionalVolumeMounts: []
initContainers: []
""",
    "templates/holmes.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-holmes
  namespace: {{ .Release.Namespace }}
spec:
  selector:
    matchLabels: {app: holmes}
  template:
    metadata:
      labels: {app: holmes}
    spec:
      {{- if .Values.initContainers }}
      initContainers:
      {{- toYaml .Values.initContainers | nindent 6 }}
      {{- end }}
      containers:
      - name: holmes
        image: holmes:0
        readinessProbe: {httpGet: {path: /readyz, port: 5050}, periodSeconds: 1}
        env:
          - name: LOG_LEVEL
            value: INFO
          {{- if .Values.additionalEnvVars -}}
          {{ toYaml .Values.additionalEnvVars | nindent 10 }}
          {{- end }}
          {{- if .Values.additional_env_vars -}}
          {{ toYaml .Values.additional_env_vars | nindent 10 }}
          {{- end }}
        volumeMounts:
          - name: custom-toolsets-configmap
            mountPath: /etc/holmes/config
          {{- if .Values.additionalVolumeMounts -}}
          {{ toYaml .Values.additionalVolumeMounts | nindent 10 }}
          {{- end }}
      volumes:
        - name: custom-toolsets-configmap
          configMap: {name: custom-toolsets-configmap, optional: true}
        {{- if .Values.additionalVolumes -}}
        {{ toYaml .Values.additionalVolumes | nindent 8 }}
        {{- end }}
""",
}


def write_parent(chart: Path) -> Path:
    """Writes it, called holmes."""
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: holmes, version: 0.45.0}\n")
    for name, text in PARENT.items():
        (chart / name).write_text(text)
    return chart


def assemble_umbrella(chart: Path, holmes: Path) -> Path:
    """The umbrella with its dependencies, as ``helm dependency build`` leaves it."""
    shutil.copytree(UMBRELLA, chart)
    shutil.copytree(CHART, chart / "charts/dynamic-toolset")
    shutil.copytree(holmes, chart / "charts/holmes")
    meta = chart / "charts/holmes/Chart.yaml"
    # What HolmesGPT's repository holds is published under the version of its release.
    meta.write_text(re.sub(r"(?m)^version: .*$", "version: 0.45.0", meta.read_text()))
    return chart
