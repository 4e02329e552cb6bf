"""One replica's wall clock is an hour ahead, as when a node's time service is broken: still one leads."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from tests.home import Home
from tests.programs import Server
from tests.realparts import ROOT, until
from tests.service import Start

AN_HOUR_AHEAD = {"PYTHONPATH": str(ROOT / "tests/ahead")}

LEASE_SECONDS = 15
"""So long a Lease lasts that nobody renews."""


def test_who_is_ahead_does_not_take_the_lease_of_one_that_renews_it(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    """By its clock the last renewal is always an hour ago."""
    right = start(env={**home.env, "POD_NAME": "right"}).wait_ready()
    until(lambda: lease(home).get("holderIdentity") == "right", "it leads")
    ahead = start(env={**home.env, **AN_HOUR_AHEAD, "POD_NAME": "ahead"}).wait_ready()
    began = time.monotonic()

    def tried_for_longer_than_a_lease_lasts() -> bool:
        assert lease(home)["holderIdentity"] == "right"
        return time.monotonic() - began > LEASE_SECONDS + 5

    until(tried_for_longer_than_a_lease_lasts, "the other had time to take it", seconds=60)
    assert right.metric("toolset_leader") == 1
    assert not ahead.logged("leads: it writes")
    assert lease(home).get("leaseTransitions", 0) == 0


def test_the_lease_of_one_that_was_ahead_and_died_is_taken_all_the_same(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    """By the clock of the others its last renewal is an hour in the future."""
    ahead = start(env={**home.env, **AN_HOUR_AHEAD, "POD_NAME": "ahead"}).wait_ready()
    until(lambda: lease(home).get("holderIdentity") == "ahead", "it leads")
    right = start(env={**home.env, "POD_NAME": "right"}).wait_ready()
    renewed = datetime.fromisoformat(lease(home)["renewTime"])
    assert (renewed - datetime.now(UTC)).total_seconds() > 3000, "its clock is what this is about"

    ahead.kill()

    until(lambda: right.logged("this replica, right, leads"), "the other leads", seconds=40)
    assert lease(home)["holderIdentity"] == "right"


def lease(home: Home) -> dict[str, Any]:
    text = home.plane.kubectl(
        "get", "lease", "dynamic-toolset-leader", "-n", home.own, "--ignore-not-found", "-o", "json"
    )
    spec: dict[str, Any] = json.loads(text)["spec"] if text else {}
    return spec
