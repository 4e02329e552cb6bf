"""Who may use the API, as the API server says; what it says is kept for a while, and no longer."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import Forbidden, HTTPException, ServiceUnavailable, Unauthorized

from sidecar.api.access import (
    AT_ONCE,
    CACHE_SIZE,
    MAX_TOKEN,
    SCOPE,
    Everybody,
    Nobody,
    Reviewed,
    access_to,
    is_open,
)
from sidecar.connection import ClusterError, ForbiddenError
from sidecar.metrics import Metrics

PATH = "/api/v1/services"


class Reviewer:
    """An API server that knows the token "anna" and lets her read."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.known = {"anna", "bert"}
        self.may = {("anna", "get", SCOPE + PATH)}
        self.error: Exception | None = None

    def json(self, method: str, path: str, *, body: Mapping[str, Any], timeout: object) -> dict[str, Any]:
        self.asked.append(body)
        if self.error:
            raise self.error
        spec = body["spec"]
        if body["kind"] == "TokenReview":
            if spec["token"] not in self.known:
                return {"status": {"authenticated": False}}
            user = {"username": spec["token"], "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}
            return {"status": {"authenticated": True, "user": user}}
        what = spec["nonResourceAttributes"]
        return {"status": {"allowed": (spec["user"], what["verb"], what["path"]) in self.may}}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def denied(metrics: Metrics, reason: str) -> float:
    value = metrics.registry.get_sample_value("toolset_api_denials_total", {"reason": reason})
    assert value is not None
    return value


def test_who_is_known_and_may_is_admitted(metrics: Metrics) -> None:
    reviewer = Reviewer()
    Reviewed(reviewer, metrics).admit("anna", "get", PATH)
    assert [body["kind"] for body in reviewer.asked] == ["TokenReview", "SubjectAccessReview"]


def test_all_that_is_known_of_who_asks_decides(metrics: Metrics) -> None:
    reviewer = Reviewer()
    Reviewed(reviewer, metrics).admit("anna", "get", PATH)
    spec = reviewer.asked[1]["spec"]
    assert (spec["user"], spec["uid"], spec["groups"], spec["extra"]) == ("anna", "7", ["g"], {"k": ["v"]})


def test_the_path_is_not_one_that_every_account_may_get(metrics: Metrics) -> None:
    """Kubernetes' own role system:discovery grants get of /api/* to everybody."""
    reviewer = Reviewer()
    Reviewed(reviewer, metrics).admit("anna", "get", PATH)
    assert reviewer.asked[1]["spec"]["nonResourceAttributes"]["path"].startswith("/kubernaut")


def test_without_a_token_one_is_asked_for(metrics: Metrics) -> None:
    with pytest.raises(Unauthorized) as refused:
        Reviewed(Reviewer(), metrics).admit("", "get", PATH)
    assert ("WWW-Authenticate", "Bearer realm=dynamic-toolset") in refused.value.get_headers()
    assert denied(metrics, "unauthenticated") == 1


@pytest.mark.parametrize("token", ["garbage", "x" * (MAX_TOKEN + 1), "\x00", "é"])
def test_who_is_not_known_is_not_admitted(metrics: Metrics, token: str) -> None:
    with pytest.raises(Unauthorized):
        Reviewed(Reviewer(), metrics).admit(token, "get", PATH)
    assert denied(metrics, "unauthenticated") == 1


@pytest.mark.parametrize(
    ("who", "verb", "path"),
    [("bert", "get", PATH), ("anna", "post", PATH), ("anna", "get", "/api/v1/status")],
)
def test_who_may_not_do_that_is_told_what_would_grant_it(
    metrics: Metrics, who: str, verb: str, path: str
) -> None:
    with pytest.raises(Forbidden) as refused:
        Reviewed(Reviewer(), metrics).admit(who, verb, path)
    assert f"{who} may not {verb} {SCOPE}{path}" in str(refused.value.description)
    assert denied(metrics, "forbidden") == 1


@pytest.mark.parametrize(
    "error", [ClusterError("no route"), ForbiddenError("cannot create"), KeyError("status")]
)
def test_when_the_api_server_cannot_be_asked_nobody_may(metrics: Metrics, error: Exception) -> None:
    reviewer = Reviewer()
    reviewer.error = error
    with pytest.raises(ServiceUnavailable) as refused:
        Reviewed(reviewer, metrics).admit("anna", "get", PATH)
    assert "tokenreviews" in str(refused.value.description)
    assert denied(metrics, "unavailable") == 1


def test_an_outage_is_not_remembered(metrics: Metrics) -> None:
    reviewer = Reviewer()
    access = Reviewed(reviewer, metrics)
    reviewer.error = ClusterError("no route")
    with pytest.raises(ServiceUnavailable):
        access.admit("anna", "get", PATH)
    reviewer.error = None
    access.admit("anna", "get", PATH)


def test_an_answer_is_asked_for_once_while_it_holds(metrics: Metrics) -> None:
    reviewer = Reviewer()
    access = Reviewed(reviewer, metrics)
    for _ in range(3):
        access.admit("anna", "get", PATH)
        with pytest.raises(Forbidden):
            access.admit("bert", "get", PATH)
    assert len(reviewer.asked) == 4


def test_after_that_it_is_asked_for_anew(metrics: Metrics) -> None:
    reviewer = Reviewer()
    access = Reviewed(reviewer, metrics, cache_seconds=0.0)
    access.admit("anna", "get", PATH)
    reviewer.known.clear()
    with pytest.raises(Unauthorized):
        access.admit("anna", "get", PATH)


def test_what_is_remembered_is_bounded_and_holds_no_token(metrics: Metrics) -> None:
    access = Reviewed(Reviewer(), metrics)
    for number in range(CACHE_SIZE + 10):
        with pytest.raises(Unauthorized):
            access.admit(f"secret-{number}", "get", PATH)
    assert len(access._users) == CACHE_SIZE
    assert not any("secret" in key for key in access._users)


def test_a_slow_api_server_does_not_take_every_thread(metrics: Metrics) -> None:
    hold = threading.Event()
    entered = threading.Semaphore(0)

    class Slow(Reviewer):
        def json(self, *arguments: Any, **named: Any) -> dict[str, Any]:
            entered.release()
            assert hold.wait(30)
            return super().json(*arguments, **named)

    access = Reviewed(Slow(), metrics)
    waiting = [threading.Thread(target=access.admit, args=("anna", "get", PATH)) for _ in range(AT_ONCE)]
    for thread in waiting:
        thread.start()
        assert entered.acquire(timeout=30)
    with pytest.raises(ServiceUnavailable):
        access.admit("anna", "get", PATH)
    hold.set()
    for thread in waiting:
        thread.join(30)


class TestWhereItIsOn:
    @pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "127.9.9.9:1"])
    def test_on_loopback_outside_a_cluster_everybody_may(self, address: str, metrics: Metrics) -> None:
        assert isinstance(access_to(address, Reviewer(), metrics), Everybody)

    @pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "example.org:80"])
    def test_anywhere_else_a_token_decides(self, address: str, metrics: Metrics) -> None:
        assert isinstance(access_to(address, Reviewer(), metrics), Reviewed)

    def test_in_a_cluster_a_token_decides_on_loopback_too(
        self, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        assert not is_open("127.0.0.1:8080")
        assert isinstance(access_to("127.0.0.1:8080", Reviewer(), metrics), Reviewed)

    def test_where_nobody_can_be_asked_it_is_off(self, metrics: Metrics) -> None:
        access = access_to("0.0.0.0:8080", None, metrics)
        assert isinstance(access, Nobody)
        with pytest.raises(HTTPException) as refused:
            access.admit("anna", "get", PATH)
        assert refused.value.code == 403
        assert "--http 127.0.0.1" in str(refused.value.description)
