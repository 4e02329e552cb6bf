"""A backend called Lamp, servers that are one or are not, and how they are asked."""

from collections.abc import Mapping
from typing import Any

from sidecar.prove import NetworkProber, Question, Verdict
from tests.unit.builders import backend, catalogue, service
from tests.unit.servers import (
    Server,
    always,
    response,
    routes,
)
from toolset.backend import Backend
from toolset.classify import classify

PATIENT, IMPATIENT = 20.0, 0.3
"""Seconds for a probe of a server that answers, and of one that does not."""

DEAD = f"no answer within {IMPATIENT:g} s"

HEALTH = "/query?query=up"
LAMP = backend("lamp", refusals=[{"get": "/about", "status": [401], "headers": {"X-Lamp": "^on$"}}])
BELL = backend("bell")

ANSWERS = {"/about": response(b"lamp"), HEALTH: response(b"{}")}
GOOD = routes(ANSWERS)
GUARDED = always(response(status=401))


def question(server: Server, *backends: Backend, name: str = "lamp", **fields: Any) -> Question:
    """What is asked about a Service whose ClusterIP is the server's address."""
    of = service(name, **({"ports": [f"web:{server.port}"]} | fields), cluster_ip=server.ip)
    found = classify(of, catalogue(*(backends or (LAMP,))))
    assert found.candidates, found.ruled_out
    return Question(found.candidates)


def ask(*questions: Question, timeout: float = PATIENT, **options: Any) -> list[Verdict]:
    return NetworkProber(cluster_domain="cluster.local", timeout=timeout, **options).ask(questions)


def verdict(server: Server, *backends: Backend, timeout: float = PATIENT, **fields: Any) -> Verdict:
    [only] = ask(question(server, *backends, **fields), timeout=timeout)
    return only


def below(prefix: str, answers: Mapping[str, bytes] = ANSWERS) -> dict[str, bytes]:
    return {prefix + path: answer for path, answer in answers.items()}
