"""What is read of an earlier process's toolset.json."""

import json

import pytest

from toolset.discovered import Status
from toolset.remembered import read

TOOL = {
    "name": "prometheus",
    "namespace": "monitoring",
    "uid": "1",
    "type": "prometheus",
    "description": "Prometheus: metrics",
    "url": "http://prometheus.monitoring.svc.cluster.local:9090",
    "status": "verified",
    "verify_ssl": True,
    "toolsets": ["prometheus/metrics"],
}


def test_what_was_proven_is_read() -> None:
    [one] = read(json.dumps({"tools": [TOOL]})).values()
    assert (one.key, one.uid, one.type, one.status) == (
        "monitoring/prometheus",
        "1",
        "prometheus",
        Status.VERIFIED,
    )


@pytest.mark.parametrize("changes", [{"status": "unproven"}, {"status": "wonderful"}, {"uid": ""}])
def test_what_was_not_proven_is_not(changes: dict[str, str]) -> None:
    assert read(json.dumps({"tools": [{**TOOL, **changes}]})) == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"tools": 1}', '{"tools": [1]}', '{"tools": [{"name": "x"}]}', "\x00", "a: &b"],
)
def test_what_is_no_such_document_is_nothing(text: str) -> None:
    assert read(text) == {}
