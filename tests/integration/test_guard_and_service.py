"""The real service behind its guard: it writes, trusted people hold it, drift is repaired without it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.guard import MODES, Guarded
from tests.home import ACCOUNT, CONFIG_MAP, Home, service
from tests.programs import Serve
from tests.realparts import running_control_plane, until
from tests.service import Start
from toolset.names import HOLD_UNTIL


@pytest.fixture(params=MODES)
def guard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    with running_control_plane(tmp_path / "plane") as plane:
        guard = Guarded(plane, tmp_path, request.param)
        try:
            yield guard
        finally:
            for webhook in guard.webhooks:
                webhook.kill()


def test_the_service_writes_people_may_hold_it_and_drift_is_repaired(
    guard: Guarded, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    for namespace in ("home", "shop"):
        guard.plane.kubectl("create", "namespace", namespace)
    home = Home(guard.plane, "home", "shop")
    guard.start(service_accounts=[f"home/{ACCOUNT}"])
    address = cluster_ip()
    guard.plane.apply(service("shop", "prometheus", address))
    prometheus(f"{address}:9090")
    running = start(env=home.env).wait_ready()

    def written() -> bool:
        return "prometheus/metrics" in (home.generated("shop").get("data") or {}).get(
            "custom_toolset.yaml", ""
        )

    until(written, "the service writes what it found")
    patch = ("patch", "configmap", CONFIG_MAP, "-n", "shop", "--type=merge", "-p")
    mine = json.dumps({"data": {"custom_toolset.yaml": "toolsets: {a: {enabled: false}}"}})
    assert guard.stranger(*patch, mine).denied

    hold = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    held = json.dumps({"metadata": {"annotations": {HOLD_UNTIL: hold}}, **json.loads(mine)})
    assert guard.trusted(*patch, held).ok
    until(lambda: running.logged(f"configmap shop/{CONFIG_MAP}") and not written(), "the hold is seen")
    guard.plane.kubectl("annotate", "service", "prometheus", "-n", "shop", "note=look-again")
    assert not written()
    assert guard.trusted("annotate", "configmap", CONFIG_MAP, "-n", "shop", f"{HOLD_UNTIL}-").ok
    until(written, "after the hold the service puts it back")

    guard.stop()
    until(lambda: guard.stranger(*patch, mine).ok, "nobody guards")
    until(written, "what a stranger wrote is repaired", seconds=5)
    events = ("get", "events", "-n", "shop", "-o", "jsonpath={..message}")
    until(lambda: f"configmap shop/{CONFIG_MAP}" in guard.plane.kubectl(*events), "an Event tells of it")
