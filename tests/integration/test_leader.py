"""Several replicas on a real API server: one writes the ConfigMaps, and there is always one."""

import json
import time
from collections.abc import Callable

from tests.home import CONFIG_MAP, Home
from tests.programs import Server
from tests.realparts import until
from tests.service import Running, Start

LEASE = "dynamic-toolset-leader"
LONGEST_GAP_SECONDS = 20


def holder(home: Home) -> str:
    text = home.plane.kubectl("get", "lease", LEASE, "-n", home.own, "--ignore-not-found", "-o", "json")
    return str(json.loads(text)["spec"].get("holderIdentity", "")) if text else ""


def leaders(*replicas: Running) -> int:
    return sum(int(replica.metric("toolset_leader")) for replica in replicas)


def test_one_of_three_leads_and_each_writes_its_own_file(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    replicas = [start(env={**home.env, "POD_NAME": f"pod-{n}"}).wait_ready() for n in range(3)]
    assert leaders(*replicas) == 1
    assert holder(home) == "pod-0"
    for one in replicas[1:]:
        assert one.logged(f"configmap {home.own}/{CONFIG_MAP} up to date, written by leader pod-0")
        assert one.metric('toolset_configmap_updates_total{status="success"}') == 0
    assert all("prometheus/metrics" in one.toolsets() for one in replicas)


def test_a_leader_that_ends_gives_the_lease_back_and_another_goes_on(
    home: Home, start: Start, one_prometheus: Server, add_prometheus: Callable[[str], None]
) -> None:
    first = start(env={**home.env, "POD_NAME": "first"}).wait_ready()
    second = start(env={**home.env, "POD_NAME": "second"}).wait_ready()
    began = time.monotonic()
    assert first.terminate() == 0

    until(lambda: second.metric("toolset_leader") == 1, "the other leads")

    assert time.monotonic() - began < 10, "it need not wait for the Lease to lapse"
    add_prometheus("prometheus-two")
    until(lambda: "prometheus-two" in home.generated(home.watched)["data"]["toolset.json"], "it writes")


def test_a_leader_that_is_killed_is_replaced_within_twenty_seconds(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    first = start(env={**home.env, "POD_NAME": "first"}).wait_ready()
    second = start(env={**home.env, "POD_NAME": "second"}).wait_ready()
    first.kill()
    began = time.monotonic()
    home.plane.kubectl("delete", "configmap", CONFIG_MAP, "-n", home.watched)

    until(lambda: home.generated(home.watched), "the other repairs what was deleted meanwhile", seconds=40)

    assert time.monotonic() - began < LONGEST_GAP_SECONDS
    assert holder(home) == "second"
    assert second.logged("this replica, second, leads")


def test_who_may_not_have_the_lease_writes_no_config_map_and_says_so(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    roles = json.loads(home.plane.kubectl("get", "role", "-n", home.own, "-o", "json"))["items"]
    [index] = [n for n, it in enumerate(roles[0]["rules"]) if it["resources"] == ["leases"]]
    rule = [{"op": "remove", "path": f"/rules/{index}"}]
    name = roles[0]["metadata"]["name"]
    home.plane.kubectl("patch", "role", name, "-n", home.own, "--type=json", "-p", json.dumps(rule))

    running = start(env=home.env)

    until(lambda: "prometheus/metrics" in running.toolsets(), "the file is written all the same")
    until(lambda: running.logged('cannot get resource "leases"'), "it is told, with the cure")
    assert running.logged("grant it to this identity")
    assert not home.generated(home.watched)
