"""Rollback, emergency stop, incidents and maintenance: each procedure, step by step as it is written."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.guard import Guarded, generated
from tests.home import ACCOUNT, CONFIG_MAP
from tests.realparts import part, run, running_control_plane, until
from tests.runbook.rows import DEPLOYMENT
from tests.runbook.site import CONFIG, MANIFEST, NAME, OWN, Site

SCALE = "kubectl scale deployment kubernaut-dynamic-toolsets -n kubernaut-system --replicas={}"
UNDO = DEPLOYMENT.format("rollout undo")
BACKUP_AS_IT_WAS = (
    "kubectl get configmap -A -l app.kubernetes.io/name=kubernaut -o yaml > backup-configmaps.yaml"
)
DROP = 'del(.items[].metadata["resourceVersion","uid"])'
BACKUP = f"kubectl get configmap -A -l app.kubernetes.io/name=kubernaut -o json | jq '{DROP}'"
RESTORE = "kubectl apply -f backup-configmaps.json"
BACKUP_CONFIG = (
    "kubectl get configmap kubernaut-dynamic-toolset-config -n kubernaut-system -o yaml > config-backup.yaml"
)
EDIT = "kubectl edit configmap kubernaut-dynamic-toolset-config -n kubernaut-system"
RESTORE_CONFIG = "kubectl replace --force -f config-backup.yaml"
EVENTS = "kubectl get events -n monitoring | grep configmap"
AUDIT = "kubectl get events --all-namespaces | grep kubernaut-service-discovery"
DELETE_ACCOUNT = "kubectl delete serviceaccount kubernaut-service-discovery -n kubernaut-system"
APPLY = "kubectl apply -f deploy/dynamic-toolset-deployment.yaml"


def apply(site: Site) -> None:
    site.bash(APPLY.replace("deploy/dynamic-toolset-deployment.yaml", str(MANIFEST)))


def pods(site: Site) -> int:
    text = site.bash(
        "kubectl get pods -n kubernaut-system -l app.kubernetes.io/component=dynamic-toolsets -o name"
    )
    return len(text.split())


def image(site: Site) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return site.plane.kubectl("get", "deployment", NAME, "-n", OWN, "-o", path)


@pytest.mark.row("Rollback", UNDO, f"{UNDO} --to-revision=<number>")
def test_a_rollout_is_undone_to_the_previous_and_to_any_revision(broken: Site) -> None:
    history = broken.bash(DEPLOYMENT.format("rollout history")).split()
    first = max(int(word) for word in history if word.isdigit())
    before = image(broken)
    change = (
        "kubectl set image deployment/kubernaut-dynamic-toolsets -n kubernaut-system dynamic-toolset=other:{}"
    )
    broken.bash(change.format("1"))
    assert image(broken) == "other:1"
    until(lambda: str(first + 1) in broken.bash(DEPLOYMENT.format("rollout history")).split(), "a revision")
    broken.bash(UNDO)
    assert image(broken) == before

    broken.bash(change.format("2"))

    def revisions() -> list[str]:
        return [word for word in broken.bash(DEPLOYMENT.format("rollout history")).split() if word.isdigit()]

    until(lambda: int(revisions()[-1]) >= first + 3, "the revisions are there")
    broken.bash(f"{UNDO} --to-revision={revisions()[-2]}")
    assert image(broken) == before


@pytest.mark.row("Emergency stop", SCALE.format(0), SCALE.format(2))
@pytest.mark.row("Planned maintenance", SCALE.format(1), SCALE.format(3))
def test_the_deployment_scales_to_none_and_back(broken: Site) -> None:
    for count in (0, 1, 2, 3):
        broken.bash(SCALE.format(count))
        until(lambda: pods(broken) == count, f"there are {count} pods")  # noqa: B023 - of this turn
    broken.bash(SCALE.format(0))
    broken.end()
    assert broken.tools() == ["prometheus"], "what was generated stays while nothing runs"


@pytest.mark.row("Security incidents", EVENTS, "restore: delete (will be recreated)", AUDIT)
def test_who_tampered_is_in_the_event_and_what_it_did_is_put_right(broken: Site) -> None:
    broken.bash(
        "kubectl patch configmap kubernaut-toolset-config -n monitoring --field-manager=mallory"
        """ -p '{"data":{"toolset.json":"{}"}}'"""
    )
    until(lambda: "mallory" in broken.bash(f"{EVENTS} || true"), "an Event names the manager")
    broken.shows("prometheus")
    managers = (
        "kubectl get configmap kubernaut-toolset-config -n monitoring"
        " -o jsonpath='{.metadata.managedFields[*].manager}'"
    )
    assert broken.bash(managers) == "kubernaut-dynamic-toolsets", "after the repair only the Event tells"
    assert f"system:serviceaccount:{OWN}:{ACCOUNT}" in broken.bash(AUDIT)
    assert broken.service.metric('toolset_configmap_drift_total{action="repaired"}') == 1


@pytest.mark.row("Security incidents", DELETE_ACCOUNT, APPLY, DEPLOYMENT.format("rollout restart"))
def test_an_account_that_is_made_anew_has_all_rights_and_its_old_tokens_none(broken: Site) -> None:
    stolen = Path(broken.env()["KUBECONFIG"])
    keep = stolen.with_name("stolen.kubeconfig")
    keep.write_text(stolen.read_text())
    look = f"kubectl --kubeconfig={keep} get services -A"
    assert "prometheus" in broken.bash(look)

    broken.bash(DELETE_ACCOUNT)
    apply(broken)
    broken.bash(DEPLOYMENT.format("rollout restart"))
    # The API server keeps what it knows of a token for some seconds.
    until(lambda: "Unauthorized" in broken.bash(f"{look} || true"), "the stolen token is good for nothing")
    assert broken.service.status("/health") == 200, "it waits for a token that is good"

    broken.add("prometheus-after")
    broken.restart()
    broken.shows("prometheus", "prometheus-after")


@pytest.mark.row("Planned maintenance", BACKUP_AS_IT_WAS, APPLY)
def test_applying_the_manifest_again_resets_nothing_of_the_configuration(broken: Site) -> None:
    broken.configure("discovery_interval: 7m")
    broken.bash(BACKUP_AS_IT_WAS)
    saved = yaml.safe_load((broken.directory / "backup-configmaps.yaml").read_text())["items"]
    names = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in saved}
    assert names == {(OWN, CONFIG), (OWN, CONFIG_MAP), ("monitoring", CONFIG_MAP)}

    apply(broken)
    assert "7m" in broken.bash(f"kubectl get configmap {CONFIG} -n {OWN} -o yaml")


@pytest.mark.row("Configuration updates", BACKUP_CONFIG, EDIT, RESTORE_CONFIG)
def test_a_configuration_is_edited_found_wrong_and_rolled_back(broken: Site) -> None:
    broken.configure("discovery_interval: 7m")
    broken.bash(BACKUP_CONFIG)
    editor = broken.directory / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/7m/often/' \"$1\"\n")
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    os.environ["KUBE_EDITOR"] = str(editor)
    try:
        broken.bash(EDIT)
    finally:
        del os.environ["KUBE_EDITOR"]
    broken.says("often")
    validate = f"kubectl get configmap {CONFIG} -n {OWN} -o jsonpath='{{.data.config\\.yaml}}' | dynamic-toolset validate -"
    assert "often" in broken.bash(validate, fails=True)

    # Why the runbook's own way back is corrected: the backup names a version that is no more.
    assert "the object has been modified" in broken.bash("kubectl apply -f config-backup.yaml", fails=True)
    broken.bash(RESTORE_CONFIG)
    assert "valid" in broken.bash(validate)
    broken.restart()
    broken.shows("prometheus")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with running_control_plane(tmp_path / "plane") as plane:
        guard = Guarded(plane, tmp_path)
        try:
            guard.start("webhook")
            yield guard
        finally:
            for webhook in guard.webhooks:
                webhook.kill()


@pytest.mark.row("Planned maintenance", f"{BACKUP} > backup-configmaps.json", RESTORE)
def test_a_backup_brings_back_what_people_wrote_and_the_guard_says_of_the_rest_that_it_returns(
    guarded: Guarded,
) -> None:
    guarded.namespace("shop")
    label = {"app.kubernetes.io/name": "kubernaut"}
    for name, key, text in (
        (CONFIG, "config.yaml", "service_discovery: {discovery_interval: 7m}"),
        ("kubernaut-toolset-overrides", "overrides.yaml", "toolsets: {grafana/dashboards: {enabled: false}}"),
    ):
        meta = {"name": name, "namespace": OWN, "labels": label}
        guarded.plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {key: text}})
    listed = guarded.plane.kubectl(
        "get", "configmap", "-A", "-l", "app.kubernetes.io/name=kubernaut", "-o", "json"
    )
    saved = json.loads(run([str(part("programs/jq")), DROP], input=listed))
    # Meanwhile people's were lost, and another one is generated.
    for name in (CONFIG, "kubernaut-toolset-overrides"):
        guarded.plane.kubectl("delete", "configmap", name, "-n", OWN)
    now = {"services.yaml": "services: [] # now\n", "toolset.json": '{"tools": []}\n'}
    assert guarded.write(generated("shop", {**generated("shop")["data"], **now})).ok

    restored = guarded.masters("apply", "-f", "-", input=saved)

    assert not restored.ok
    assert "only the service writes it, and it would put it back" in restored.error
    assert "# now" in guarded.read("shop")["data"]["services.yaml"]
    for name in (CONFIG, "kubernaut-toolset-overrides"):
        guarded.plane.kubectl("get", "configmap", name, "-n", OWN)
