"""Whatever breaks, nothing is lost: the file stays right, and once it is mended the next change arrives.

Each has a control plane of its own, and breaks it for real: by SIGKILL, by a proxy that swallows, by
compaction of etcd. The intervals are the defaults where nothing else is said, so that it is the watch
that hears of the change and no poll.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.home import CONFIG_MAP, Home, service
from tests.programs import Serve, Server
from tests.proxy import Proxy, proxy_to
from tests.realparts import running_control_plane, until
from tests.service import Running, Start, identity

# The service is a process of its own: what is left to the garbage collector here is the proxy's.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

OUTAGE_SECONDS = 60.0
"""What an API server that comes back may take, with the client's backoff of 30 s and a busy machine."""

PROXIED = "127.0.0.77"
"""The address by which the API server's audit log tells who came through the proxy."""


@dataclass
class World:
    """A control plane that a test may break, the service's home in it, and real Prometheus servers."""

    home: Home
    prometheus: Serve
    cluster_ip: Callable[[], str]
    first: Server
    audit: Path

    def add(self, name: str) -> None:
        """A further Service with a real Prometheus behind it."""
        address = self.cluster_ip()
        self.prometheus(f"{address}:9090")
        self.home.plane.apply(service("watched", name, address))

    def remove(self, name: str) -> None:
        self.home.plane.kubectl("delete", "service", name, "-n", "watched")

    def audited(self) -> Iterator[dict[str, Any]]:
        """What the API server was asked to write, in the order in which it was done."""
        for line in self.audit.read_text().splitlines():
            yield json.loads(line)


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [
                {"group": "", "resources": ["configmaps"]},
                {"group": "coordination.k8s.io", "resources": ["leases"]},
            ],
        },
        {"level": "None"},
    ],
}


@pytest.fixture
def world(tmp_path: Path, prometheus: Serve, cluster_ip: Callable[[], str]) -> Iterator[World]:
    policy, audit = tmp_path / "audit-policy.json", tmp_path / "audit.log"
    policy.write_text(json.dumps(AUDIT_POLICY))
    flags = f"--audit-policy-file={policy} --audit-log-path={audit} --audit-log-mode=blocking"
    with running_control_plane(tmp_path / "plane", flags) as plane:
        for namespace in ("own", "watched"):
            plane.kubectl("create", "namespace", namespace)
        home = Home(plane, "own", "watched")
        address = cluster_ip()
        plane.apply(service("watched", "prometheus", address))
        yield World(home, prometheus, cluster_ip, prometheus(f"{address}:9090"), audit)


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    with proxy_to(world.home.plane.server, PROXIED) as proxy:
        yield proxy


def through(proxy: Proxy, home: Home) -> dict[str, str]:
    env = home.env
    return {**env, "KUBECONFIG": str(proxy.kubeconfig(Path(env["KUBECONFIG"])))}


def names(running: Running) -> set[str]:
    """The Prometheus servers in HolmesGPT's file; one alone has no name there."""
    config = running.toolsets().get("prometheus/metrics", {}).get("config", {})
    flat = (
        {config["prometheus_url"].partition("//")[2].partition(".")[0]}
        if "prometheus_url" in config
        else set()
    )
    return {one["name"].rpartition("/")[2] for one in config.get("instances", [])} or flat


def published(home: Home) -> set[str]:
    """Those in the ConfigMap of their namespace."""
    data = home.generated(home.watched).get("data", {})
    return {tool["name"] for tool in json.loads(data.get("toolset.json", '{"tools": []}'))["tools"]}


def arrives(running: Running, home: Home, *expected: str) -> None:
    until(
        lambda: names(running) == set(expected),
        f"{expected} are in the file; the log:\n{running.log.read_text()[-3000:]}",
        seconds=OUTAGE_SECONDS,
    )
    until(lambda: published(home) == set(expected), "and in the ConfigMap", seconds=OUTAGE_SECONDS)
    assert running.status("/health") == running.status("/ready") == 200


def test_an_api_server_that_is_killed_again_and_again_costs_nothing(world: World, start: Start) -> None:
    running = start(env=world.home.env).wait_ready()
    arrives(running, world.home, "prometheus")
    before = identity(running.file)

    for _ in range(2):
        told = running.log.read_text().count("cannot reach the API server")
        world.home.plane.stop("kube-apiserver")
        until(
            lambda told=told: running.log.read_text().count("cannot reach the API server") > told,  # type: ignore[misc]
            "the outage is told",
        )
        assert running.status("/health") == running.status("/ready") == 200
        world.home.plane.start()
    assert identity(running.file) == before, "nothing changed, nothing was written"

    world.add("prometheus-two")
    arrives(running, world.home, "prometheus", "prometheus-two")
    assert running.metric('toolset_watch_restarts_total{resource="services"}') >= 2


def test_an_etcd_that_is_killed_costs_nothing(world: World, start: Start) -> None:
    running = start(env=world.home.env).wait_ready()
    arrives(running, world.home, "prometheus")
    before = identity(running.file)

    world.home.plane.stop("etcd")
    until(lambda: running.logged("leads no more"), "it cannot renew its Lease")
    assert running.status("/health") == running.status("/ready") == 200
    assert identity(running.file) == before

    world.home.plane.start()
    world.add("prometheus-two")
    arrives(running, world.home, "prometheus", "prometheus-two")


def test_what_changed_while_it_was_cut_off_and_is_compacted_away_is_listed_anew(
    world: World, start: Start, proxy: Proxy
) -> None:
    """410 Gone: neither the API server, started anew, nor etcd knows the version to go on from."""
    plane = world.home.plane
    running = start(env=through(proxy, world.home)).wait_ready()
    arrives(running, world.home, "prometheus")
    listed = plane.kubectl("get", "--raw", "/api/v1/namespaces/watched/services")
    version = json.loads(listed)["metadata"]["resourceVersion"]

    proxy.cut()
    until(lambda: running.logged("services of namespace watched cannot be seen"), "it is cut off")
    world.add("prometheus-two")
    world.remove("prometheus")
    plane.compact()
    plane.stop("kube-apiserver")
    plane.start()
    watch = f"/api/v1/namespaces/watched/services?watch=1&resourceVersion={version}&timeoutSeconds=1"
    assert '"code":410' in plane.kubectl("get", "--raw", watch), "its version is gone"
    assert names(running) == {"prometheus"}
    proxy.heal()

    arrives(running, world.home, "prometheus-two")
    world.add("prometheus-three")
    arrives(running, world.home, "prometheus-two", "prometheus-three")


class TestBlackHoles:
    """The connections stay open, and nothing comes through: no FIN, no RST."""

    def test_streams_that_a_balancer_forgot_are_given_up_and_nobody_notices(
        self, world: World, start: Start, proxy: Proxy
    ) -> None:
        """``discovery_interval`` bounds the silence; by default it is 70 s."""
        world.home.configure("namespaces: [watched]", "discovery_interval: 3s")
        running = start(env=through(proxy, world.home)).wait_ready()
        arrives(running, world.home, "prometheus")

        proxy.swallow()
        proxy.heal()
        world.add("prometheus-two")

        until(lambda: "prometheus-two" in names(running), "it is heard of by a new stream")
        assert not running.logged("services of namespace watched cannot be seen")

    def test_a_network_that_is_gone_is_told_and_what_changed_meanwhile_is_not_lost(
        self, world: World, start: Start, proxy: Proxy
    ) -> None:
        world.home.configure("namespaces: [watched]", "discovery_interval: 3s")
        running = start(env=through(proxy, world.home)).wait_ready()
        arrives(running, world.home, "prometheus")
        before = identity(running.file)

        proxy.swallow()
        world.add("prometheus-two")
        world.remove("prometheus")
        until(
            lambda: running.logged("services of namespace watched cannot be seen"),
            "it is told",
            seconds=OUTAGE_SECONDS,
        )
        assert running.status("/health") == running.status("/ready") == 200
        assert identity(running.file) == before, "not to see is not that there is nothing"
        proxy.heal()

        arrives(running, world.home, "prometheus-two")

    def test_a_leader_that_is_cut_off_stops_to_write_before_another_begins(
        self, world: World, start: Start, proxy: Proxy
    ) -> None:
        """Shown by their own words, and by the API server's audit log."""
        home = world.home
        home.configure("namespaces: [watched]", "health_check_interval: 1s")
        words = {"LOG_FORMAT": "json"}
        far = start(env={**through(proxy, home), **words, "POD_NAME": "far"}).wait_ready()
        near = start(env={**home.env, **words, "POD_NAME": "near"}).wait_ready()
        arrives(far, home, "prometheus")

        proxy.swallow()
        world.first.stop()  # so that both have something to write: it is unhealthy
        until(lambda: near.logged("this replica, near, leads"), "another leads", seconds=OUTAGE_SECONDS)
        until(lambda: "unhealthy" in toolset_json(home), "and writes what is new")
        assert said_at(far, "this replica, far, leads no more") < said_at(near, "this replica, near, leads:")
        proxy.heal()
        world.first.start()
        world.add("prometheus-two")
        arrives(near, home, "prometheus", "prometheus-two")
        until(lambda: far.logged("written by leader near"), "the first one follows", seconds=OUTAGE_SECONDS)

        done = [
            (it["requestReceivedTimestamp"], it["sourceIPs"][0], it["objectRef"]["resource"])
            for it in wrote(world)
        ]
        began = min(when for when, who, what in done if who != PROXIED and what == "leases")
        assert all(when > began for when, who, what in done if who != PROXIED and what == "configmaps")
        assert all(when < began for when, who, _ in done if who == PROXIED)
        assert any(who == PROXIED and what == "configmaps" for _, who, what in done), "it had written before"


def toolset_json(home: Home) -> str:
    return str(home.generated(home.watched).get("data", {}).get("toolset.json", ""))


def said_at(running: Running, words: str) -> datetime:
    """When it said so first."""
    lines = (json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{"))
    return next(
        datetime.fromisoformat(it["time"].replace(",", ".")) for it in lines if words in it["message"]
    )


def wrote(world: World) -> Iterator[dict[str, Any]]:
    """What replicas wrote of what only the leader writes."""
    for it in world.audited():
        mine = it["user"]["username"].startswith("system:serviceaccount:own:")
        if (
            mine
            and it["objectRef"].get("name") in {CONFIG_MAP, "dynamic-toolset-leader"}
            and it["responseStatus"]["code"] < 300
        ):
            yield it
