"""Who may use the API in a cluster: a real API server says who somebody is, and what he may do."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sidecar.api.access import SCOPE
from tests.home import ACCOUNT, Home
from tests.realparts import LOCAL, ControlPlane, until
from tests.service import Running, Start

RBAC = "rbac.authorization.k8s.io"
REVIEWS = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
READS = [{"nonResourceURLs": [f"{SCOPE}/api/v1/*"], "verbs": ["get"]}]


def cluster_role(
    name: str, rules: list[dict[str, Any]], namespace: str, account: str
) -> list[dict[str, Any]]:
    """A role, and its binding to an account."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]


@dataclass
class Guarded:
    """A service in a cluster, and accounts that ask it."""

    home: Home
    running: Running

    @property
    def plane(self) -> ControlPlane:
        return self.home.plane

    def asked(self, token: str, path: str = "/api/v1/status", method: str = "GET") -> tuple[int, Any]:
        """Status and JSON."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = LOCAL.request(method, f"http://{self.running.http}{path}", headers=headers, timeout=20)
        return answer.status_code, answer.json()

    def status(self, token: str, path: str = "/api/v1/status", method: str = "GET") -> int:
        return self.asked(token, path, method)[0]

    def token(self, account: str) -> str:
        return self.plane.token(self.home.own, account)

    def reader(self) -> str:
        """A token of an account that may read; once the API server knows that."""
        self.plane.kubectl("create", "serviceaccount", "reader", "-n", self.home.own)
        self.plane.apply(*cluster_role(f"reads-{self.home.own}", READS, self.home.own, "reader"))
        token = self.token("reader")
        until(lambda: self.status(token) == 200, "the reader may read")
        return token


@pytest.fixture
def guarded(home: Home, start: Start) -> Iterator[Guarded]:
    name = f"reviews-{home.own}"
    home.plane.apply(*cluster_role(name, REVIEWS, home.own, ACCOUNT))
    # What every pod is told of its API server; here it is reached as the kubeconfig says.
    running = start(env={**home.env, "KUBERNETES_SERVICE_HOST": "127.0.0.1"}).wait_ready()
    yield Guarded(home, running)
    for made in (name, f"reads-{home.own}"):
        home.plane.kubectl("delete", "clusterrole,clusterrolebinding", made, "--ignore-not-found")


def test_who_was_granted_reading_may_read_and_no_more(guarded: Guarded) -> None:
    token = guarded.reader()

    assert guarded.status(token, "/api/v1/services") == 200
    assert guarded.status(token, "/api/v1/openapi.json") == 200
    status, problem = guarded.asked(token, "/api/v1/discover", "POST")
    assert status == 403
    who = f"system:serviceaccount:{guarded.home.own}:reader"
    assert f"{who} may not post {SCOPE}/api/v1/discover" in problem["detail"]
    assert guarded.running.metric('toolset_api_denials_total{reason="forbidden"}') >= 1


def test_who_was_granted_nothing_may_nothing_though_kubernetes_lets_everybody_get_its_api(
    guarded: Guarded,
) -> None:
    """system:discovery grants get of /api/* to all; it must not grant ours."""
    token = guarded.token("default")
    kubeconfig = guarded.plane.kubeconfig_of(guarded.home.own, "default")
    can_i = ("auth", "can-i", "get", "/api/v1/status")
    assert guarded.plane.kubectl(*can_i, kubeconfig=kubeconfig).strip() == "yes"

    assert guarded.status(token) == 403
    assert guarded.status(token, "/api/v1/nothing") == 403, "nor what there is"


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"])
def test_who_is_not_known_is_asked_for_a_token(guarded: Guarded, token: str) -> None:
    status, problem = guarded.asked(token)
    assert status == 401
    assert problem["title"] == "Unauthorized"
    assert guarded.running.metric('toolset_api_denials_total{reason="unauthenticated"}') == 1


def test_a_token_that_has_expired_is_known_no_more(guarded: Guarded) -> None:
    token = guarded.reader()
    assert guarded.status(dated(guarded, token, seconds=600)) == 200, "it is signed as real ones are"

    assert guarded.status(dated(guarded, token, seconds=-60)) == 401


def test_a_token_for_somebody_else_is_not_taken(guarded: Guarded) -> None:
    guarded.reader()
    elsewhere = guarded.plane.token(guarded.home.own, "reader", "--audience=vault")
    assert guarded.status(elsewhere) == 401


def test_an_account_that_was_deleted_may_nothing_once_the_answer_is_old(guarded: Guarded) -> None:
    token = guarded.reader()
    guarded.plane.kubectl("delete", "serviceaccount", "reader", "-n", guarded.home.own)
    until(lambda: guarded.status(token) == 401, "the account is not known any more", seconds=60)


def test_a_role_that_was_taken_away_counts_once_the_answer_is_old(guarded: Guarded) -> None:
    token = guarded.reader()
    guarded.plane.kubectl("delete", "clusterrolebinding", f"reads-{guarded.home.own}")
    until(lambda: guarded.status(token) == 403, "the role does not count any more", seconds=60)


def test_probes_and_the_page_itself_are_open(guarded: Guarded) -> None:
    for path in ("/health", "/ready", "/startz", "/", "/static/page.js"):
        assert guarded.running.status(path) == 200, path


def test_a_service_that_may_not_ask_lets_nobody_in_and_says_what_it_needs(home: Home, start: Start) -> None:
    env: Mapping[str, str] = {**home.env, "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    guarded = Guarded(home, start(env=env).wait_ready())
    status, problem = guarded.asked(home.plane.token(home.own, "default"))
    assert status == 503
    assert "create on tokenreviews.authentication.k8s.io" in problem["detail"]
    assert guarded.running.metric('toolset_api_denials_total{reason="unavailable"}') == 1
    assert guarded.running.status("/ready") == 200, "it does its work all the same"


def test_the_status_tells_who_leads_and_what_is_watched(guarded: Guarded) -> None:
    token = guarded.reader()
    until(lambda: guarded.asked(token)[1]["leads"] is True, "it leads")
    status = guarded.asked(token)[1]
    assert status["leader"]
    assert status["passes"][0]["failures"] == []
    assert any(f"services of namespace {guarded.home.watched}" in one["name"] for one in status["watches"])


def dated(guarded: Guarded, token: str, *, seconds: int) -> str:
    """The token, signed anew by the cluster's own key, with an end so many seconds from now."""
    header, claims, _ = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said["exp"] = int(time.time()) + seconds
    said["iat"] = said["nbf"] = said["exp"] - 3600
    body = f"{header}.{_encoded(json.dumps(said).encode())}"
    key = load_pem_private_key((guarded.plane.directory / "sa.key").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return f"{body}.{_encoded(key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
