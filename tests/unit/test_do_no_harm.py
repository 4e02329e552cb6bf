"""What we ask of servers that have not proven anything is harmless, whoever they are."""

import re

import pytest

from toolset.backend import Exchange
from toolset.catalogue import bundled

UNPROVEN: list[tuple[str, Exchange]] = [
    (entry.name, exchange)
    for entry in bundled().values()
    for part in (*entry.proofs, entry.refusals)
    for exchange in part
]
"""All that is ever sent before a proof held."""

ALL = [*UNPROVEN, *((entry.name, entry.health) for entry in bundled().values() if entry.health)]

CHANGING = re.compile(
    r"/cloud/config/(enable|disable|delete)"  # OpenCost
    r"|/cloudCost/rebuild|/assets/rebuild|/allocation/rebuild"  # OpenCost, Kubecost
    r"|/probe\b"  # Prometheus' Blackbox exporter sends traffic
    r"|/-/(quit|reload)|/quitquitquit|/flush|/shutdown"  # Prometheus' family, Envoy, Loki, Mimir
    r"|/internal/(force_flush|force_merge|resetRollupResultCache)|/snapshot|/delete"  # VictoriaMetrics
    r"|/api/admin|/admin/|/debug/pprof",
    re.IGNORECASE,
)
"""GET requests that are known to change something, or to be costly."""

REVEALING = re.compile(
    r"/config\b|/flags\b|/env\b|/runtime_config|/services\b.*config|/api/v1/targets|/configz", re.IGNORECASE
)
"""GET requests whose answers hold configuration, and so perhaps secrets."""


@pytest.mark.parametrize(("name", "exchange"), UNPROVEN)
def test_nothing_unproven_is_sent_a_query(name: str, exchange: Exchange) -> None:
    """ClickHouse runs ``?query=`` on any path; so may others."""
    assert "?" not in (exchange.get or "")
    assert exchange.post is None or name == "mcp", "MCP alone has no other greeting"


@pytest.mark.parametrize(("name", "exchange"), ALL)
def test_no_request_is_one_that_is_known_to_change_something(name: str, exchange: Exchange) -> None:
    assert not CHANGING.search(exchange.get or exchange.post or "")


@pytest.mark.parametrize(("name", "exchange"), ALL)
def test_no_request_asks_for_configuration(name: str, exchange: Exchange) -> None:
    assert not REVEALING.search(exchange.get or exchange.post or "")


@pytest.mark.parametrize(("name", "exchange"), UNPROVEN)
def test_other_protocols_are_greeted_and_asked_for_no_login(name: str, exchange: Exchange) -> None:
    """Small enough to be a greeting, and no word by which a server would count a failed login."""
    sent = exchange.send or b""
    assert len(sent) < 200
    assert not re.search(rb"AUTH|PASS|SELECT|CONFIG|EVAL|SHUTDOWN|FLUSH", sent, re.IGNORECASE)
