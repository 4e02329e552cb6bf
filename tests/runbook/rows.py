"""The rows of the runbook that only look: what is typed at a healthy site, and what it shows.

Rows that change something, or need something broken, are tests of their own, marked ``row``. ``NODE`` are
the rows that need running pods: they are listed as such, and nothing is claimed of them here.
"""

from dataclasses import dataclass

PODS = "kubectl get pods -n kubernaut-system -l app.kubernetes.io/component=dynamic-toolsets"
AS = "--as=system:serviceaccount:kubernaut-system:kubernaut-service-discovery"
LOGS = "kubectl logs -n kubernaut-system deployment/kubernaut-dynamic-toolsets"
DEPLOYMENT = "kubectl {} deployment/kubernaut-dynamic-toolsets -n kubernaut-system"
CURL = "kubectl run -i --rm {} --image=curlimages/curl --restart=Never -- curl -s http://{}"
HOST = "kubernaut-dynamic-toolsets.kubernaut-system"


@dataclass(frozen=True)
class Look:
    """A command, and a regular expression for what it prints."""

    section: str
    command: str
    shows: str


LOOKS = [
    Look("Quick reference", f"curl -s http://{HOST}:8080/health", r'"status":\s*"ok"'),
    Look("Quick reference", f"curl -s http://{HOST}:8080/ready", r'"status":\s*"ok"'),
    Look("Quick reference", f"curl -s http://{HOST}:9090/metrics", r"(?m)^toolset_services_discovered_total"),
    Look(
        "Quick reference",
        "kubectl get configmap -A | grep -E 'kubernaut-(dynamic-)?toolset-config'",
        r"(?s)kubernaut-system +kubernaut-dynamic-toolset-config.*kubernaut-system +kubernaut-toolset-config"
        r".*monitoring +kubernaut-toolset-config",
    ),
    Look("Scenario 1", PODS, r"(?m)(^kubernaut-dynamic-toolsets-\w+-\w+ .*\n){2}"),
    Look("Scenario 1", f"{LOGS} --tail=100", "discovered 1 services"),
    Look("Scenario 1", f"kubectl auth can-i list services {AS}", r"^yes\b"),
    Look(
        "Scenario 1",
        "kubectl get configmap -n kubernaut-system kubernaut-dynamic-toolset-config",
        "kubernaut-dynamic-toolset-config +1 ",
    ),
    Look(
        "Scenario 1",
        "kubectl get services -n monitoring -l app.kubernetes.io/name=prometheus",
        r"(?m)^prometheus +ClusterIP",
    ),
    Look("Scenario 1", f'{LOGS} | grep "discovered"', r"discovered \d+ services"),
    Look("Scenario 2", f"kubectl auth can-i create configmaps -n monitoring {AS}", r"^yes\b"),
    Look("Scenario 2", f'{LOGS} | grep -i "configmap"', "configmap monitoring/kubernaut-toolset-config "),
    Look("Scenario 2", "kubectl get namespace monitoring", "monitoring +Active"),
    Look(
        "Scenario 2",
        "kubectl describe namespace monitoring | grep -iA 5 'resource quota'",
        "No resource quota",
    ),
    Look(
        "Scenario 3",
        "kubectl get events -n kubernaut-system --sort-by='.lastTimestamp' | grep dynamic-toolsets",
        "deployment/kubernaut-dynamic-toolsets",
    ),
    Look(
        "Scenario 3",
        "kubectl describe pod -n kubernaut-system -l app.kubernetes.io/component=dynamic-toolsets",
        "Service Account: +kubernaut-service-discovery",
    ),
    Look(
        "Scenario 3",
        "kubectl get configmap kubernaut-dynamic-toolset-config -n kubernaut-system"
        " -o jsonpath='{.data.config\\.yaml}' | dynamic-toolset validate -",
        "a valid config",
    ),
    Look(
        "Scenario 4",
        "kubectl get deployment kubernaut-dynamic-toolsets -n kubernaut-system"
        " -o jsonpath='{.spec.template.spec.containers[0].resources}'",
        '"limits":.*"memory":',
    ),
    Look(
        "Scenario 4",
        'kubectl get configmap kubernaut-toolset-config -n monitoring -o yaml | grep -c "endpoint:"',
        r"^1$",
    ),
    Look(
        "Scenario 4",
        "kubectl get configmap kubernaut-dynamic-toolset-config -n kubernaut-system"
        " -o jsonpath='{.data.config\\.yaml}' | grep discovery_interval",
        'discovery_interval: "5m"',
    ),
    Look(
        "Scenario 5",
        "kubectl get configmap kubernaut-toolset-config -n monitoring"
        " -o jsonpath='{.metadata.creationTimestamp}'",
        r"^\d{4}-\d\d-\d\dT",
    ),
    Look("Scenario 5", f'{LOGS} | grep "discovery completed"', r"discovery completed in [\d.]+ s"),
    Look(
        "Scenario 5",
        f"curl -s http://{HOST}:9090/metrics | grep toolset_configmap_updates",
        r'(?m)^toolset_configmap_updates_total\{status="success"\} \d',
    ),
    Look(
        "Scenario 5",
        "kubectl get configmap kubernaut-toolset-config -n monitoring -o yaml",
        "(?s)custom_toolset.yaml:.*prometheus_url:.*services.yaml:.*toolset.json:",
    ),
    Look("Health check", CURL.format("debug", f"{HOST}:8080/health"), r'"status":\s*"ok"'),
    Look("Health check", f"{LOGS} --tail=10", "discovery completed"),
    Look(
        "Health check",
        "kubectl get configmap -n monitoring kubernaut-toolset-config -o jsonpath='{.data.toolset\\.json}'"
        " | jq -r '.tools | length'",
        r"^1$",
    ),
    Look(
        "Diagnostic",
        "kubectl describe deployment kubernaut-dynamic-toolsets -n kubernaut-system | grep -A 10 'Conditions:'",
        "Progressing",
    ),
    *(
        Look("Diagnostic", f"kubectl auth can-i list {resource} {AS}", r"(?m)^yes\b")
        for resource in ("services", "endpoints", "namespaces", "configmaps")
    ),
    Look(
        "Diagnostic",
        "kubectl get configmap kubernaut-dynamic-toolset-config -n kubernaut-system"
        " -o jsonpath='{.data.config\\.yaml}' | grep -E 'discovery_interval|namespaces'",
        '(?s)discovery_interval: "5m".*namespaces:',
    ),
    Look(
        "Diagnostic",
        CURL.format("metrics-check", f"{HOST}:9090/metrics")
        + " | grep -E 'toolset_services_discovered|toolset_configmap_updates'",
        r'(?s)toolset_services_discovered_total\{status="failed"\} 0.*toolset_configmap_updates_total',
    ),
    Look("Rollback", DEPLOYMENT.format("rollout history"), r"REVISION"),
    Look(
        "Security incidents",
        "kubectl get configmap kubernaut-toolset-config -n monitoring"
        " -o jsonpath='{.metadata.managedFields[*].manager}'",
        "^kubernaut-dynamic-toolsets$",
    ),
    *(
        Look("Key metrics", f"curl -s http://{HOST}:9090/metrics | grep '^{line}'", r" \d")
        for line in (
            'toolset_services_discovered_total{status="success"}',
            'toolset_services_discovered_total{status="failed"}',
            'toolset_configmap_updates_total{status="success"}',
            'toolset_configmap_updates_total{status="failed"}',
            "toolset_discovery_duration_seconds_count",
            "toolset_health_check_duration_seconds_count",
        )
    ),
]

NODE = [
    ("Scenario 1", DEPLOYMENT.format("rollout status"), "pods that get ready"),
    ("Scenario 3", f"{LOGS} --previous", "a container that ended"),
    (
        "Scenario 3",
        f"{PODS} -o jsonpath='{{.items[*].status.containerStatuses[*].lastState.terminated.reason}}'",
        "a container that was killed for its memory",
    ),
    (
        "Scenario 4",
        "kubectl top pods -n kubernaut-system -l app.kubernetes.io/component=dynamic-toolsets",
        "metrics-server and a kubelet",
    ),
    (
        "Scenario 5",
        "kubectl wait --for=condition=available --timeout=300s deployment/kubernaut-dynamic-toolsets -n kubernaut-system",
        "pods that get ready",
    ),
    ("Configuration updates", f"{LOGS} -f", "a kubelet to follow the log"),
    ("Scenario 3", "cause: memory limit reached (OOMKilled)", "a kubelet"),
    ("Scenario 3", "cause: image pull failure", "a kubelet"),
]
"""Section, command or cause, and what it needs that a control plane alone has not."""
