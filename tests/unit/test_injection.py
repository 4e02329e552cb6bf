"""The sidecar is added to HolmesGPT's pods: all of it, once, and to nothing that would not read its file."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from toolset.yaml_source import YamlError
from webhook import app as guard
from webhook.apiserver import ApiError
from webhook.config import read_injection
from webhook.inject import INJECTED, LOCATION, Injection, inject
from webhook.metrics import Metrics
from webhook.request import Request
from webhook.rollout import RESTARTED, Rollout

FILE = "/etc/holmes/discovered/custom_toolset.yaml"
INJECTION = Injection(
    namespaces=("holmes",),
    labels={"app": "holmes"},
    init_containers=(
        {
            "name": "dynamic-toolset",
            "restartPolicy": "Always",
            "volumeMounts": [
                {"name": "dynamic-toolset-file", "mountPath": "/etc/holmes/discovered"},
                {"name": "custom-toolsets-configmap", "mountPath": "/etc/holmes/config", "readOnly": True},
            ],
        },
    ),
    volumes=({"name": "dynamic-toolset-file", "emptyDir": {}},),
    volume_mounts=({"name": "dynamic-toolset-file", "mountPath": "/etc/holmes/discovered"},),
    env=({"name": LOCATION, "value": FILE}, {"name": "REFRESH", "value": "60"}),
)


def pod(**holmes: Any) -> dict[str, Any]:
    """A pod as HolmesGPT's chart makes it."""
    base = [{"name": "custom-toolsets-configmap", "mountPath": "/etc/holmes/config"}]
    container = {"name": "holmes", "env": [{"name": "LOG_LEVEL"}], "volumeMounts": base, **holmes}
    return {
        "metadata": {"generateName": "holmes-", "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "proxy"}, container], "volumes": [{"name": base[0]["name"]}]},
    }


def patched(pod: dict[str, Any], injection: Injection = INJECTION) -> dict[str, Any]:
    """The pod that the API server would make (RFC 6902, "add" of members alone)."""
    result: Any = copy.deepcopy(pod)
    for step in inject(pod, injection).patch:
        assert step["op"] == "add"
        *path, last = step["path"].split("/")[1:]
        at = result
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[last] = step["value"]
    return dict(result)


def names(items: list[dict[str, Any]], key: str = "name") -> list[str]:
    return [item[key] for item in items]


def test_a_plain_pod_gets_it_all() -> None:
    made = patched(pod())
    holmes = made["spec"]["containers"][1]
    assert names(made["spec"]["initContainers"]) == ["dynamic-toolset"]
    assert names(made["spec"]["volumes"]) == ["custom-toolsets-configmap", "dynamic-toolset-file"]
    assert names(holmes["volumeMounts"], "mountPath") == ["/etc/holmes/config", "/etc/holmes/discovered"]
    assert names(holmes["env"]) == ["LOG_LEVEL", LOCATION, "REFRESH"]
    assert made["metadata"]["annotations"] == {"a": "b", INJECTED: INJECTION.digest}
    assert made["spec"]["containers"][0] == {"name": "proxy"}


def test_asked_again_there_is_nothing_to_do() -> None:
    assert inject(patched(pod()), INJECTION) == inject(patched(patched(pod())), INJECTION)
    assert not inject(patched(pod()), INJECTION).patch


def test_what_a_person_wired_in_part_is_completed_and_kept() -> None:
    theirs = pod(env=[{"name": "REFRESH", "value": "5"}, {"name": LOCATION, "value": FILE}])
    theirs["spec"]["initContainers"] = [{"name": "certificates"}]
    made = patched(theirs)
    assert names(made["spec"]["initContainers"]) == ["dynamic-toolset", "certificates"], "it comes first"
    assert made["spec"]["containers"][1]["env"] == theirs["spec"]["containers"][1]["env"]


def test_the_base_is_the_volume_that_holmesgpt_mounts_there_whatever_its_name() -> None:
    renamed = pod(volumeMounts=[{"name": "my-toolsets", "mountPath": "/etc/holmes/config"}])
    mounts = patched(renamed)["spec"]["initContainers"][0]["volumeMounts"]
    assert names(mounts) == ["dynamic-toolset-file", "my-toolsets"]


def test_without_a_base_the_sidecar_mounts_none() -> None:
    bare = pod()
    del bare["spec"]["containers"][1]["volumeMounts"]
    mounts = patched(bare)["spec"]["initContainers"][0]["volumeMounts"]
    assert names(mounts) == ["dynamic-toolset-file"]


@pytest.mark.parametrize("variable", [{"value": "/mine.yaml"}, {"valueFrom": {"secretKeyRef": {}}}])
def test_a_holmesgpt_that_reads_another_file_is_left_alone(variable: dict[str, Any]) -> None:
    done = inject(pod(env=[{"name": LOCATION, **variable}]), INJECTION)
    assert not done.patch
    assert LOCATION in done.warning


def test_a_pod_without_holmesgpt_is_left_alone() -> None:
    done = inject({"spec": {"containers": [{"name": "other"}]}}, INJECTION)
    assert not done.patch
    assert done.warning == "no container is named holmes: no sidecar was added"


@pytest.mark.parametrize("odd", [{}, {"spec": None}, {"spec": {"containers": "x"}}, {"metadata": []}])
def test_what_is_no_pod_is_left_alone(odd: dict[str, Any]) -> None:
    assert not inject(odd, INJECTION).patch


class TestAnswer:
    def client(self, injection: Injection = INJECTION) -> tuple[Any, Metrics]:
        metrics = Metrics(CollectorRegistry())
        injector = guard.Injector(injection, metrics)
        return guard.create_app(None, None, metrics, injector).test_client(), metrics  # type: ignore[arg-type]

    def ask(self, client: Any, obj: Any) -> Any:
        request = {
            "uid": "1",
            "operation": "CREATE",
            "resource": {"resource": "pods"},
            "userInfo": {},
            "namespace": "holmes",
            "object": obj,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        answer = client.post("/mutate", json=review)
        assert answer.status_code == 200
        return answer.get_json()["response"]

    def test_it_allows_and_patches(self) -> None:
        client, metrics = self.client()
        response = self.ask(client, pod())
        assert response["allowed"]
        assert response["patchType"] == "JSONPatch"
        sample = metrics.registry.get_sample_value("toolset_injection_pods_total", {"outcome": "injected"})
        assert sample == 1

    def test_it_says_why_it_does_not(self) -> None:
        client, _ = self.client()
        response = self.ask(client, {"spec": {"containers": []}})
        assert response["allowed"]
        assert "patch" not in response
        assert response["warnings"] == ["no container is named holmes: no sidecar was added"]

    def test_our_own_bug_keeps_no_pod_from_being_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard, "inject", lambda *_: 1 / 0)
        client, metrics = self.client()
        response = self.ask(client, pod())
        assert response["allowed"]
        assert "a bug" in response["warnings"][0]
        assert metrics.registry.get_sample_value("toolset_injection_pods_total", {"outcome": "failed"}) == 1

    def test_without_an_injection_there_is_no_such_address(self) -> None:
        metrics = Metrics(CollectorRegistry())
        client = guard.create_app(None, None, metrics).test_client()  # type: ignore[arg-type]
        assert client.post("/mutate", json={}).status_code == 404


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Cluster:
    """An API server with HolmesGPT's pods, their ReplicaSets and what is written to Deployments."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = list(pods)
        self.written: dict[str, Any] = {}
        self.failure: ApiError | None = None

    def get(self, path: str) -> Any:
        if self.failure:
            raise self.failure
        if path == "/api/v1/namespaces/holmes/pods?labelSelector=app%3Dholmes":
            return {"items": self.pods}
        name = path.removeprefix("/apis/apps/v1/namespaces/holmes/replicasets/")
        owners = [{"kind": "Deployment", "name": name[:-2], "controller": True}] if name != "alone-1" else []
        return {"metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": owners}}

    def apply(self, path: str, obj: Any, manager: str) -> Any:
        assert manager
        name = path.removeprefix("/apis/apps/v1/namespaces/holmes/deployments/")
        self.written[name] = obj["spec"]["template"]["metadata"]["annotations"]
        return obj

    def rollout(self) -> Rollout:
        return Rollout(self, INJECTION)  # type: ignore[arg-type]


def running(
    made: dict[str, Any], replica_set: str, *, minutes_old: int = 5, **metadata: Any
) -> dict[str, Any]:
    created = (NOW - timedelta(minutes=minutes_old)).strftime("%Y-%m-%dT%H:%M:%SZ")
    owner = {"kind": "ReplicaSet", "name": replica_set, "controller": True}
    made["metadata"] |= {"creationTimestamp": created, "ownerReferences": [owner], **metadata}
    return made


class TestRollout:
    def test_pods_that_are_older_than_the_injection_are_made_anew_once(self) -> None:
        cluster = Cluster(running(pod(), "holmes-1"), running(pod(), "holmes-1"))
        rollout = cluster.rollout()
        rollout.restart_once(NOW)
        assert cluster.written == {"holmes": {RESTARTED: "uid-holmes-1"}}
        cluster.written.clear()
        rollout.restart_once(NOW)
        assert not cluster.written

    def test_two_replicas_ask_for_the_same(self) -> None:
        cluster = Cluster(running(pod(), "holmes-1"))
        cluster.rollout().restart_once(NOW)
        before = dict(cluster.written)
        cluster.rollout().restart_once(NOW)
        assert cluster.written == before

    def test_pods_with_the_sidecar_of_an_older_release_are_made_anew(self) -> None:
        older = Injection(**{**vars(INJECTION), "env": INJECTION.env[:1]})
        cluster = Cluster(running(patched(pod(), older), "holmes-1"))
        cluster.rollout().restart_once(NOW)
        assert cluster.written

    @pytest.mark.parametrize(
        "left",
        [
            running(patched(pod()), "holmes-1"),
            running(pod(env=[{"name": LOCATION, "value": "/mine.yaml"}]), "holmes-1"),
            running(pod(), "holmes-1", minutes_old=-1),
            running(pod(), "holmes-1", deletionTimestamp="2026-11-24T12:00:00Z"),
            running({**pod(), "status": {"phase": "Succeeded"}}, "holmes-1"),
        ],
        ids=["with it", "reads another file", "younger", "going", "done"],
    )
    def test_others_are_left(self, left: dict[str, Any]) -> None:
        cluster = Cluster(left)
        cluster.rollout().restart_once(NOW)
        assert not cluster.written

    def test_what_is_of_no_deployment_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        cluster = Cluster(running(pod(), "alone-1"))
        cluster.rollout().restart_once(NOW)
        assert not cluster.written
        assert "holmes/alone-1 are of no Deployment: restart them by hand" in caplog.text

    def test_what_failed_is_tried_again(self) -> None:
        cluster = Cluster(running(pod(), "holmes-1"))
        cluster.failure = ApiError("no answer")
        rollout = cluster.rollout()
        with pytest.raises(ApiError):
            rollout.restart_once(NOW)
        cluster.failure = None
        rollout.restart_once(NOW)
        assert cluster.written

    def test_it_is_undone_where_it_was_done_and_nowhere_else(self) -> None:
        cluster = Cluster(running(patched(pod()), "holmes-1"), running(pod(), "other-1"))
        cluster.rollout().undo()
        assert list(cluster.written) == ["holmes"]


GOOD = {
    "namespaces": ["holmes"],
    "labels": {"app": "holmes"},
    "init_containers": [{"name": "dynamic-toolset", "image": "x"}],
}


def text(**changes: Any) -> str:
    return json.dumps({"injection": {**GOOD, **changes}})


def test_the_file_is_read() -> None:
    read = read_injection(text(env=[{"name": "A", "value": "b"}]))
    assert read.namespaces == ("holmes",)
    assert read.init_containers == ({"name": "dynamic-toolset", "image": "x"},)
    assert read.container == "holmes"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ("", "expected a mapping with the key injection"),
        ("guard: {}", "unknown key; allowed is injection"),
        (text(namespaces=[]), "injection.namespaces"),
        (text(labels={}), "injection.labels"),
        (text(labels={"app": 1}), "injection.labels.app"),
        (text(colour=1), "unknown key; allowed are"),
        (text(volumes=[{"emptyDir": {}}]), "expected a mapping with a name"),
        (text(volumes=["x"]), "injection.volumes"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(wrong: str, where: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_injection(wrong)
    assert any(where in str(problem) for problem in caught.value.problems)


def test_a_request_may_say_little() -> None:
    metrics = Metrics(CollectorRegistry())
    assert guard.Injector(INJECTION, metrics).inject(Request("CREATE", "", object=None)).warning
