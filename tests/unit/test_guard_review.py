"""AdmissionReviews as they come, good, bad and hostile: never a 500, never a wrong permission."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from prometheus_client import CollectorRegistry

from tests.unit.test_guard_policy import GOOD, OWN, POLICY, WRITER, config_map
from toolset.names import GENERATED, GENERATED_KEYS, OVERRIDES
from webhook import app as guard
from webhook.metrics import Metrics
from webhook.policy import CONTROLLERS
from webhook.review import MAX_BYTES

JSON_TYPE = "application/json"


class Kept:
    """Certificate and registration that are well."""

    unready = ""
    alive = True

    def __init__(self) -> None:
        self.allowed_env: frozenset[str] | None = frozenset()
        self.next: frozenset[str] | None = None

    def refresh(self) -> bool:
        changed = self.next is not None and self.next != self.allowed_env
        self.allowed_env = self.next if changed else self.allowed_env
        return changed


def client_of(upkeep: Kept, policy: Any = POLICY) -> tuple[FlaskClient, Metrics]:
    metrics = Metrics(CollectorRegistry())
    return guard.create_app(guard.Reviewer(policy, upkeep, metrics), upkeep, metrics).test_client(), metrics


@pytest.fixture
def client() -> FlaskClient:
    return client_of(Kept())[0]


def review(**request: Any) -> dict[str, Any]:
    asked = {
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "operation": "CREATE",
        "namespace": "shop",
        "name": GENERATED,
        "userInfo": {"username": "alice", "groups": ["system:authenticated"], "extra": {"x": ["y"]}},
        "object": config_map(),
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions"},
        **request,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


def ask(client: FlaskClient, **request: Any) -> dict[str, Any]:
    answer = client.post("/validate", json=review(**request))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json  # type: ignore[assignment]
    assert (body["apiVersion"], body["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert body["response"]["uid"] == "u-1"
    response: dict[str, Any] = body["response"]
    return response


def test_a_denial_says_403_and_why(client: FlaskClient) -> None:
    response = ask(client)
    assert response["allowed"] is False
    assert response["status"]["code"] == 403
    assert response["status"]["message"].count("\n") == 2
    assert response["auditAnnotations"] == {"rule": "not-the-service"}


@pytest.mark.parametrize("dry", [True, False])
def test_a_dry_run_is_answered_the_same(client: FlaskClient, dry: bool) -> None:
    assert ask(client, dryRun=dry)["allowed"] is False
    user = {"username": WRITER}
    assert ask(client, dryRun=dry, userInfo=user) == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {"rule": "service"},
    }


@pytest.mark.parametrize(
    ("method", "body", "content_type", "status"),
    [
        ("GET", b"", JSON_TYPE, 405),
        ("PUT", b"{}", JSON_TYPE, 405),
        ("POST", b"{}", "text/plain", 415),
        ("POST", b"{}", "", 415),
        ("POST", b"", JSON_TYPE, 400),
        ("POST", b"{", JSON_TYPE, 400),
        ("POST", b"\xff\xfe", JSON_TYPE, 400),
        ("POST", b"[" * 100_000, JSON_TYPE, 400),
        ("POST", b"null", JSON_TYPE, 400),
        ("POST", b"[]", JSON_TYPE, 400),
        ("POST", b"{}", JSON_TYPE, 400),
        ("POST", b" " * (MAX_BYTES + 1), JSON_TYPE, 413),
    ],
)
def test_what_is_no_review_is_told_so(
    client: FlaskClient, method: str, body: bytes, content_type: str, status: int
) -> None:
    answer = client.open("/validate", method=method, data=body, content_type=content_type)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == status  # type: ignore[index]
    if status == 405:
        assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("field", ["uid", "operation", "resource", "userInfo"])
def test_a_missing_field_is_named(client: FlaskClient, field: str) -> None:
    body = review()
    del body["request"][field]
    answer = client.post("/validate", json=body)
    assert answer.status_code == 400
    assert f"request.{field}" in answer.text


def test_another_version_is_not_understood(client: FlaskClient) -> None:
    answer = client.post("/validate", json={**review(), "apiVersion": "admission.k8s.io/v1beta1"})
    assert answer.status_code == 400
    assert "expected admission.k8s.io/v1" in answer.text


def test_our_own_bug_denies_what_is_ours_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(guard, "decide", broken)
    client, metrics = client_of(Kept())
    for name in (GENERATED, OVERRIDES):
        response = ask(client, name=name, object=config_map(name))
        assert response["allowed"] is False
        assert "a bug" in response["status"]["message"]
    assert ask(client, name="other", object=config_map("other"))["allowed"] is True
    assert "please report it" in caplog.text
    labels = {"operation": "CREATE", "verdict": "failed", "rule": "failed"}
    assert metrics.registry.get_sample_value("toolset_guard_reviews_total", labels) == 3


def test_a_variable_that_was_just_allowed_is_allowed() -> None:
    upkeep = Kept()
    client, _ = client_of(upkeep)
    data = {**GOOD, "custom_toolset.yaml": "toolsets: {a: {config: {x: '{{ env.NEW }}'}}}"}
    wanted = {"userInfo": {"username": WRITER}, "object": config_map(data=data)}
    assert ask(client, **wanted)["allowed"] is False
    upkeep.next = frozenset({"NEW"})
    assert ask(client, **wanted)["allowed"] is True


def test_reviews_are_counted_by_operation_verdict_and_rule() -> None:
    client, metrics = client_of(Kept())
    ask(client)
    ask(client, userInfo={"username": WRITER})
    for verdict, rule in (("denied", "not-the-service"), ("allowed", "service")):
        labels = {"operation": "CREATE", "verdict": verdict, "rule": rule}
        assert metrics.registry.get_sample_value("toolset_guard_reviews_total", labels) == 1
    assert metrics.registry.get_sample_value("toolset_guard_review_duration_seconds_count") == 2


def test_probes_say_what_is_wrong() -> None:
    upkeep = Kept()
    client, _ = client_of(upkeep)
    assert client.get("/ready").status_code == 200
    assert client.get("/health").status_code == 200
    upkeep.unready, upkeep.alive = "nobody trusts it", False
    assert client.get("/ready").json == {"status": "failing", "reason": "nobody trusts it"}
    assert client.get("/health").status_code == 503


HOSTILE = ["", "x", "{{ env.A }}", "[" * 50, "a: &a [*a]", "\x00\x1b\n", "toolsets: {a: {tools: []}}", "'"]
TEXT = st.one_of(st.sampled_from([*HOSTILE, *GOOD.values()]), st.text(max_size=30))
ANY: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
NAMES = st.sampled_from([GENERATED, OVERRIDES, "other", ""])
METADATA = st.one_of(
    ANY,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.one_of(NAMES, ANY),
            "generateName": TEXT,
            "labels": ANY,
            "annotations": st.one_of(ANY, st.dictionaries(st.just("kubernaut.io/hold-until"), TEXT)),
            "finalizers": ANY,
            "ownerReferences": ANY,
            "managedFields": ANY,
        },
    ),
)
DATA = st.one_of(
    ANY, st.dictionaries(st.sampled_from([*GENERATED_KEYS, "overrides.yaml", "x"]), st.one_of(TEXT, ANY))
)
OBJECT = st.one_of(
    ANY,
    st.fixed_dictionaries(
        {"metadata": METADATA}, optional={"data": DATA, "binaryData": ANY, "immutable": ANY, "kind": ANY}
    ),
)
USERS = st.sampled_from([WRITER, "sre", "alice", "", *CONTROLLERS])
REQUESTS = st.fixed_dictionaries(
    {
        "operation": st.one_of(st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]), ANY),
        "userInfo": st.one_of(st.fixed_dictionaries({"username": USERS}, optional={"groups": ANY}), ANY),
        "name": st.one_of(NAMES, ANY),
        "namespace": st.one_of(st.sampled_from([OWN, "shop"]), ANY),
        "object": OBJECT,
        "oldObject": OBJECT,
        "resource": st.one_of(st.just({"resource": "configmaps"}), ANY),
    },
    optional={"uid": ANY, "dryRun": ANY},
)

FUZZED = client_of(Kept())[0]


@settings(max_examples=1000, deadline=None, database=None, derandomize=True)
@given(REQUESTS)
def test_whatever_comes_is_answered_and_no_stranger_ever_gets_in(request: dict[str, Any]) -> None:
    answer = FUZZED.post("/validate", json=review(**request))
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 400:
        return
    response = answer.json["response"]  # type: ignore[index]
    assert "a bug" not in json.dumps(response)
    assert response["uid"] == request.get("uid", "u-1")
    if not response["allowed"] or request["resource"]["resource"] != "configmaps":
        return
    names = {request["name"], *(_name(request[key]) for key in ("object", "oldObject"))}
    if GENERATED in names and request["operation"] in {"CREATE", "UPDATE", "CONNECT"}:
        rule = response["auditAnnotations"]["rule"]
        allowed = {WRITER: "service", "sre": "break-glass"}.get(request["userInfo"].get("username", ""))
        unchanged = _content(request["object"]) == _content(request["oldObject"])
        assert rule == allowed or (request["operation"] == "UPDATE" and unchanged), response


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.one_of(st.binary(max_size=200), ANY.map(lambda value: json.dumps(value).encode())))
def test_whatever_bytes_come_are_no_review(body: bytes) -> None:
    assert FUZZED.post("/validate", data=body, content_type=JSON_TYPE).status_code == 400


def _name(obj: Any) -> Any:
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _content(obj: Any) -> Any:
    """What must be the same for an update to count as none; written here without the policy's code."""
    if not isinstance(obj, dict):
        return object()
    return [obj.get(key) or None for key in ("data", "binaryData", "immutable")]
