"""A change in a real cluster is in HolmesGPT's file within a second; what breaks is told, and mended."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.home import ACCOUNT, CONFIG_MAP, Home, config_map, service
from tests.programs import Serve, Server
from tests.realparts import until
from tests.service import Running, Start

PATIENCE_SECONDS = 8.0
"""What tests wait: a machine that builds and tests at a time keeps no promise of a second."""


NOBODY = "somebody (fields of ours were removed, which leaves no manager's name)"


def events(home: Home, namespace: str) -> list[str]:
    items = json.loads(home.plane.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
    return [event["message"] for event in items]


def instances(running: Running) -> set[str]:
    config = running.toolsets().get("prometheus/metrics", {}).get("config", {})
    return {one["name"] for one in config.get("instances", [])} or ({"flat"} if config else set())


class TestServices:
    def test_one_that_appears_changes_and_goes_is_so_in_the_file(
        self, home: Home, start: Start, add_prometheus: Callable[[str], None]
    ) -> None:
        running = start(env=home.env).wait_ready()
        assert running.toolsets() == {}

        add_prometheus("prometheus")
        until(lambda: instances(running) == {"flat"}, "it appeared", seconds=PATIENCE_SECONDS)

        add_prometheus("prometheus-two")
        both = {f"{home.watched}/prometheus", f"{home.watched}/prometheus-two"}
        until(lambda: instances(running) == both, "two are instances", seconds=PATIENCE_SECONDS)

        off = "kubernaut.io/toolset=disabled"
        home.plane.kubectl("annotate", "service", "prometheus-two", "-n", home.watched, off)
        until(lambda: instances(running) == {"flat"}, "it was disabled", seconds=PATIENCE_SECONDS)

        home.plane.kubectl("delete", "service", "prometheus", "-n", home.watched)
        until(lambda: running.toolsets() == {}, "it went", seconds=PATIENCE_SECONDS)

    def test_a_quiet_cluster_is_asked_nothing_and_a_burst_is_one_pass(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        running = start(env=home.env).wait_ready()
        passes = running.metric("toolset_discovery_duration_seconds_count")
        home.plane.apply(*(service(home.watched, f"prometheus-{n}", "") for n in range(30)))
        until(
            lambda: running.metric("toolset_discovery_duration_seconds_count") > passes, "they are looked at"
        )
        time.sleep(2)  # nothing is to happen: there is no condition to wait for
        assert running.metric("toolset_discovery_duration_seconds_count") - passes <= 3

    def test_a_dead_backend_delays_no_other(
        self, home: Home, start: Start, one_prometheus: Server, cluster_ip: Callable[[], str], silent: str
    ) -> None:
        """It accepts connections and never answers: the worst kind."""
        home.plane.apply(service(home.watched, "prometheus-dead", silent))
        began = time.monotonic()
        running = start(env=home.env).wait_ready()
        assert instances(running) == {"flat"}
        assert time.monotonic() - began < 10, "one probe may take 5 s, a Service 15 s"

    def test_the_endpoints_of_one_that_does_not_answer_prompt_a_probe(
        self, home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
    ) -> None:
        address = cluster_ip()
        home.plane.apply(service(home.watched, "prometheus", address))
        running = start(env=home.env).wait_ready()
        until(lambda: running.logged("discovery completed"), "it was looked at")
        server = prometheus(f"{address}:9090")
        home.plane.apply(endpoint_slice(home.watched, "prometheus", "10.1.2.3"))
        until(lambda: instances(running) == {"flat"}, "it is asked again", seconds=PATIENCE_SECONDS)
        server.stop()


def endpoint_slice(namespace: str, name: str, address: str) -> dict[str, object]:
    labels = {"kubernetes.io/service-name": name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": 9090}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


@pytest.fixture
def silent(cluster_ip: Callable[[], str]) -> Iterator[str]:
    """The address of somebody who accepts connections at port 9090, and never says a word."""
    address = cluster_ip()
    with socket.create_server((address, 9090), backlog=64):
        yield address


class TestDrift:
    @pytest.mark.parametrize(
        ("how", "who"),
        [
            (("patch", "--type=merge", "-p", '{"data": {"toolset.json": "{}"}}'), "kubectl-patch (Update)"),
            (("patch", "--type=json", "-p", '[{"op": "remove", "path": "/data"}]'), NOBODY),
            (("label", "app.kubernetes.io/name=mine", "--overwrite"), "kubectl-label (Update)"),
            (("label", "app.kubernetes.io/managed-by-"), NOBODY),
        ],
        ids=["edited", "emptied", "relabelled", "disowned"],
    )
    def test_what_somebody_changed_is_right_again_and_an_event_names_him(
        self, home: Home, start: Start, one_prometheus: Server, how: tuple[str, ...], who: str
    ) -> None:
        running = start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")
        right = home.generated(home.watched)

        verb, *rest = how
        home.plane.kubectl(verb, "configmap", CONFIG_MAP, "-n", home.watched, *rest)

        def is_right() -> bool:
            now = home.generated(home.watched)
            same = now["metadata"]["labels"] == right["metadata"]["labels"]
            return bool(now.get("data") == right["data"] and same)

        until(is_right, "it is right again", seconds=PATIENCE_SECONDS)
        said = f"{home.watched}/{CONFIG_MAP} was changed by {who}"
        until(lambda: any(said in message for message in events(home, home.watched)), "an Event says it")
        [message] = [message for message in events(home, home.watched) if said in message]
        assert f"system:serviceaccount:{home.own}:{ACCOUNT}" in message
        assert running.metric('toolset_configmap_drift_total{action="repaired"}') == 1

    def test_one_that_was_deleted_is_there_again(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")
        before = home.generated(home.watched)
        home.plane.kubectl("delete", "configmap", CONFIG_MAP, "-n", home.watched)
        until(lambda: home.generated(home.watched).get("data") == before["data"], "it is there again")

    def test_one_that_somebody_made_immutable_is_made_anew(
        self,
        home: Home,
        start: Start,
        one_prometheus: Server,
        add_prometheus: Callable[[str], None],
    ) -> None:
        running = start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")
        lock = '{"immutable": true}'
        home.plane.kubectl("patch", "configmap", CONFIG_MAP, "-n", home.watched, "--type=merge", "-p", lock)
        add_prometheus("prometheus-two")
        until(
            lambda: "prometheus-two" in home.generated(home.watched).get("data", {}).get("toolset.json", ""),
            f"it holds what is new; the log:\n{running.log.read_text()[-2000:]}",
        )

    def test_a_stranger_of_that_name_is_a_conflict_until_he_goes_or_is_handed_over(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        home.plane.apply(config_map(home.watched, CONFIG_MAP, {"toolset.json": "theirs"}))
        running = start(env=home.env).wait_ready()
        until(lambda: running.logged("was not made by this service and is left alone"), "it is told")
        assert running.metric('toolset_configmap_updates_total{status="failed"}') >= 1
        assert home.generated(home.watched)["data"] == {"toolset.json": "theirs"}
        assert home.generated(home.own), "the others are written"

        adopt = "kubernaut.io/adopt=true"
        home.plane.kubectl("annotate", "configmap", CONFIG_MAP, "-n", home.watched, adopt)
        until(lambda: "prometheus" in home.generated(home.watched)["data"]["toolset.json"], "it is ours now")

    def test_one_on_hold_is_left_alone_and_for_a_day_at_most(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        running = start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")
        hold = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        metadata = {"annotations": {"kubernaut.io/hold-until": hold}}
        edit = json.dumps({"metadata": metadata, "data": {"toolset.json": "by hand"}})
        home.plane.kubectl("patch", "configmap", CONFIG_MAP, "-n", home.watched, "--type=merge", "-p", edit)
        until(lambda: running.logged("is left alone until"), "it is told")
        assert home.generated(home.watched)["data"]["toolset.json"] == "by hand"

        longer = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 90000))
        home.plane.kubectl(
            "annotate",
            "configmap",
            CONFIG_MAP,
            "-n",
            home.watched,
            "--overwrite",
            f"kubernaut.io/hold-until={longer}",
        )
        until(lambda: home.generated(home.watched)["data"]["toolset.json"] != "by hand", "it is put right")


class TestConfiguration:
    def test_a_good_change_says_which_keys_and_what_is_lost(self, home: Home, start: Start) -> None:
        home.configure(f"namespaces: [{home.watched}]", "health_check_interval: 20s")
        running = start(env=home.env).wait_ready()
        home.configure(f"namespaces: [{home.watched}]", "health_check_interval: 10s")
        until(lambda: running.logged("health_check_interval from 20s to 10s"), "it says so")
        assert running.metric('toolset_config_reloads_total{status="success"}') == 1
        home.configure("health_check_interval: 10s")
        until(lambda: running.logged("says nothing of namespaces any more"), "it says what is lost")

    def test_a_namespace_that_is_not_looked_into_any_more_loses_its_config_map(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")
        home.configure(f"namespaces: [{home.own}]")
        until(lambda: not home.generated(home.watched), "it is taken back")

    def test_a_bad_one_is_an_event_and_a_metric_and_the_last_good_one_stays(
        self, home: Home, start: Start
    ) -> None:
        running = start(env=home.env).wait_ready()
        home.configure("colour: blue")
        until(lambda: any("colour" in message for message in events(home, home.own)), "an Event says it")
        assert running.metric('toolset_config_reloads_total{status="failed"}') == 1
        assert running.status("/ready") == 200

    def test_an_annotation_of_our_own_deployment_prompts_a_pass(self, home: Home, start: Start) -> None:
        """Runbook, scenario 2."""
        name = "kubernaut-dynamic-toolsets"
        labels = {"app": name}
        container = {"name": "it", "image": "lab.invalid/it:1"}
        home.plane.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": home.own},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            }
        )
        running = start("--deployment", name, env=home.env).wait_ready()
        watched = f"deployments (metadata.name={name}) of namespace {home.own}"
        until(lambda: running.watches().get(watched) == "watching", "it watches the Deployment")
        passes = running.metric("toolset_discovery_duration_seconds_count")
        stamp = "kubectl.kubernetes.io/restartedAt=2026-01-01T00:00:00+0000"
        home.plane.kubectl("annotate", "deployment", name, "-n", home.own, stamp)
        until(
            lambda: running.metric("toolset_discovery_duration_seconds_count") == passes + 1,
            "a pass was made",
            seconds=PATIENCE_SECONDS,
        )


class TestMemory:
    def test_a_restart_in_an_outage_forgets_nothing(
        self, home: Home, start: Start, one_prometheus: Server
    ) -> None:
        """The first start had proven it; the second finds nobody there."""
        first = start(env=home.env).wait_ready()
        until(lambda: home.generated(home.watched), "it is published")
        file = first.file.read_bytes()
        assert first.terminate() == 0
        one_prometheus.stop()
        first.file.unlink()
        (first.file.parent / f".{first.file.name}.memory").unlink()

        second = start(env=home.env).wait_ready()
        assert second.file.read_bytes() == file, "from our own ConfigMap"
        second.terminate()

        env = {name: value for name, value in home.env.items() if name != "POD_NAMESPACE"}
        config = second.file.parent / "config.yaml"
        config.write_text(f"service_discovery: {{namespaces: [{home.watched}]}}\n")
        third = start("--config", str(config), env=env).wait_ready()
        assert third.file.read_bytes() == file, "from what lies beside the file"


class TestIdentity:
    def test_an_account_that_is_made_anew_is_taken_up_with_its_new_token(
        self,
        home: Home,
        start: Start,
        one_prometheus: Server,
        add_prometheus: Callable[[str], None],
        tmp_path: Path,
    ) -> None:
        """Runbook, security incidents: the old token is worth nothing, the kubelet writes a new one."""
        config = json.loads(Path(home.env["KUBECONFIG"]).read_text())
        token, kubeconfig = tmp_path / "token", tmp_path / "kubeconfig"
        token.write_text(home.plane.token(home.own, ACCOUNT))
        config["users"][0]["user"] = {"tokenFile": str(token)}
        kubeconfig.write_text(json.dumps(config))
        running = start(env={**home.env, "KUBECONFIG": str(kubeconfig)}).wait_ready()
        until(lambda: home.generated(home.watched), "it is written")

        home.plane.kubectl("delete", "serviceaccount", ACCOUNT, "-n", home.own)
        add_prometheus("prometheus-two")
        until(lambda: running.logged("Unauthorized"), "it is told", seconds=60)
        home.plane.kubectl("create", "serviceaccount", ACCOUNT, "-n", home.own)
        token.write_text(home.plane.token(home.own, ACCOUNT))

        until(
            lambda: "prometheus-two" in home.generated(home.watched)["data"]["toolset.json"],
            "it writes again",
            seconds=90,
        )
        assert running.process.poll() is None
