"""`dynamic-toolset run` against a real API server, as an account that may do what it needs and no more."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.home import ACCOUNT, CONFIG_MAP, Home, config_map, service
from tests.programs import Serve, Server
from tests.realparts import running_control_plane, until
from tests.service import Start, identity


def test_a_real_prometheus_ends_up_in_the_file_and_in_the_config_maps(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    running = start(env={**home.env, "HOME": "/nonexistent"}).wait_ready()

    url = f"http://prometheus.{home.watched}.svc.cluster.local:9090"
    assert running.toolsets() == {"prometheus/metrics": {"enabled": True, "config": {"prometheus_url": url}}}
    assert running.said("/health") == {"status": "ok"}
    assert running.status("/startz") == 200
    for namespace in (home.own, home.watched):
        generated = home.generated(namespace)
        assert set(generated["data"]) == {"custom_toolset.yaml", "toolset.json", "services.yaml"}
        assert [tool["url"] for tool in json.loads(generated["data"]["toolset.json"])["tools"]] == [url]
        managers = {entry["manager"] for entry in generated["metadata"].get("managedFields", [])}
        assert generated["metadata"]["labels"]["app.kubernetes.io/name"] == "kubernaut"
        assert not managers or managers == {"kubernaut-dynamic-toolsets"}
    assert running.metric('toolset_services_discovered_total{status="success"}') == 1
    assert running.metric('toolset_services_discovered_total{status="failed"}') == 0
    assert running.metric('toolset_configmap_updates_total{status="success"}') == 2
    assert running.metric("toolset_discovery_duration_seconds_count") == 1
    assert running.metric("toolset_health_check_duration_seconds_count") == 1
    assert running.logged("discovered 1 services")
    assert running.logged("discovery completed")
    assert running.logged(f"configmap {home.watched}/{CONFIG_MAP} created")


def test_what_is_unchanged_is_not_touched(home: Home, start: Start, one_prometheus: Server) -> None:
    first = start(env=home.env).wait_ready()
    before = home.generated(home.watched)["metadata"]["resourceVersion"], identity(first.file)
    assert first.terminate() == 0

    second = start(env=home.env).wait_ready()

    assert before == (home.generated(home.watched)["metadata"]["resourceVersion"], identity(second.file))
    assert second.logged("up to date")


def test_keys_labels_and_annotations_of_others_are_kept(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    handed_over = {"note": "ours", "kubernaut.io/adopt": "true"}
    theirs = {"labels": {"team": "sre"}, "annotations": handed_over}
    home.plane.apply(config_map(home.watched, CONFIG_MAP, {"notes.txt": "keep me"}, **theirs))
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")

    start(env=home.env).wait_ready()

    generated = home.generated(home.watched)
    assert generated["data"]["notes.txt"] == "keep me"
    assert "custom_toolset.yaml" in generated["data"]
    assert generated["metadata"]["labels"]["team"] == "sre"
    assert generated["metadata"]["annotations"]["note"] == "ours"

    home.plane.kubectl("delete", "service", "prometheus", "-n", home.watched)
    until(
        lambda: set(home.generated(home.watched)["data"]) == {"notes.txt"},
        "our keys are gone and theirs is still there",
    )


def test_the_config_map_of_a_namespace_goes_with_its_last_service(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")
    running = start(env=home.env).wait_ready()

    home.plane.kubectl("delete", "service", "prometheus", "-n", home.watched)

    until(lambda: not home.generated(home.watched), "the ConfigMap is gone")
    until(lambda: running.toolsets() == {}, "the file holds the marker alone")
    assert json.loads(home.generated(home.own)["data"]["toolset.json"]) == {"tools": []}
    assert running.logged("No services discovered")


def test_look_alikes_never_get_in_and_others_are_unaffected(
    home: Home,
    start: Start,
    prometheus: Serve,
    prometheus_agent: Serve,
    node_exporter: Serve,
    pushgateway: Serve,
    alertmanager: Serve,
    cluster_ip: Callable[[], str],
) -> None:
    real, exporter, gateway, alerts, agent, nobody = (cluster_ip() for _ in range(6))
    prometheus(f"{real}:9090")
    prometheus_agent(f"{agent}:9090")
    node_exporter(f"{exporter}:9090")
    pushgateway(f"{gateway}:9093")
    alertmanager(f"{alerts}:9093")
    home.plane.apply(
        service(home.watched, "prometheus", real),
        service(home.watched, "prometheus-main", agent),
        service(home.watched, "prometheus-nodes", exporter),
        service(home.watched, "alertmanager-fake", gateway, 9093),
        service(home.watched, "alertmanager", alerts, 9093),
        service(home.watched, "prometheus-gone", nobody),
    )

    running = start(env=home.env).wait_ready()

    assert len(running.toolsets()) == 2
    assert "instances" not in running.toolsets()["prometheus/metrics"]["config"]
    tools = json.loads(home.generated(home.watched)["data"]["toolset.json"])["tools"]
    assert [tool["name"] for tool in tools] == ["alertmanager", "prometheus"]


def test_a_refused_list_names_verb_resource_and_cure_and_leaves_the_file(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")
    running = start(env=home.env).wait_ready()
    before = running.file.read_bytes()

    home.plane.kubectl("delete", "rolebinding", ACCOUNT, "-n", home.watched)

    until(lambda: running.logged("Service discovery failed"), "the failure is told")
    message = next(
        line for line in running.log.read_text().splitlines() if "Service discovery failed" in line
    )
    assert f"system:serviceaccount:{home.own}:{ACCOUNT}" in message
    assert 'cannot list resource "services"' in message
    assert home.watched in message
    assert "Role" in message
    assert running.metric('toolset_services_discovered_total{status="failed"}') >= 1
    assert running.file.read_bytes() == before
    assert running.status("/ready") == 200, "the toolset is still right"


def test_a_refused_config_map_is_told_and_counted_and_the_file_is_written_all_the_same(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": home.watched},
        "spec": {"hard": {"count/configmaps": "0"}},
    }
    home.plane.apply(quota)
    until(
        lambda: home.plane.kubectl(
            "get", "resourcequota", "none", "-n", home.watched, "-o", "jsonpath={.status.hard}"
        ),
        "the quota is in force",
    )

    running = start(env=home.env)

    until(lambda: "prometheus/metrics" in running.toolsets(), "the file is written")
    until(lambda: running.logged(f"configmap {home.watched}/{CONFIG_MAP} was not written"), "it is told")
    assert running.logged("exceeded quota")
    assert running.metric('toolset_configmap_updates_total{status="failed"}') >= 1
    until(lambda: home.generated(home.own), "the other one is written")

    home.plane.kubectl("delete", "resourcequota", "none", "-n", home.watched)
    until(lambda: home.generated(home.watched), "it is tried again until it may be written", seconds=60)


@pytest.mark.parametrize("repair", [True, False])
def test_what_somebody_changed_is_put_right_unless_the_operator_says_no(
    home: Home, start: Start, one_prometheus: Server, repair: bool
) -> None:
    reconciliation = f"reconciliation: {{enabled: {str(repair).lower()}}}"
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s", reconciliation)
    running = start(env=home.env).wait_ready()

    edit = json.dumps({"data": {"toolset.json": "{}"}})
    home.plane.kubectl("patch", "configmap", CONFIG_MAP, "-n", home.watched, "--type=merge", "-p", edit)

    if repair:
        until(lambda: home.generated(home.watched)["data"]["toolset.json"] != "{}", "it is put right")
    else:
        until(lambda: running.logged("is left so: reconciliation.enabled is false"), "it is told")
        assert home.generated(home.watched)["data"]["toolset.json"] == "{}"


def test_an_outage_of_the_api_server_changes_nothing(
    tmp_path: Path, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    with running_control_plane(tmp_path / "plane") as plane:
        plane.kubectl("create", "namespace", "watched")
        plane.kubectl("create", "namespace", "own")
        home = Home(plane, "own", "watched")
        home.configure("namespaces: [watched]", "discovery_interval: 1s")
        address = cluster_ip()
        prometheus(f"{address}:9090")
        plane.apply(service("watched", "prometheus", address))
        running = start(env=home.env).wait_ready()
        before = identity(running.file), running.file.read_bytes()

        plane.stop()
        until(lambda: running.logged("cannot reach the API server"), "the outage is told")
        assert (identity(running.file), running.file.read_bytes()) == before
        assert running.status("/ready") == running.status("/health") == 200

        plane.start()
        second = cluster_ip()
        prometheus(f"{second}:9090")
        plane.apply(service("watched", "prometheus-two", second))
        until(
            lambda: "instances" in running.toolsets()["prometheus/metrics"]["config"],
            "what is new after the outage is found",
        )


def test_a_backend_that_fails_later_stays_and_is_marked(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    home.configure(f"namespaces: [{home.watched}]", "health_check_interval: 1s")
    running = start(env=home.env).wait_ready()

    one_prometheus.stop()

    unhealthy = 'toolset_services{status="unhealthy",type="prometheus"}'
    until(lambda: running.logged("is prometheus at port 9090, unhealthy"), "the outage is told")
    assert running.metric(unhealthy) == 1
    assert "prometheus/metrics" in running.toolsets(), "an outage is when HolmesGPT must know about it"

    one_prometheus.start()
    until(lambda: running.log.read_text().count("is prometheus at port 9090, verified") == 2, "recovered")


def test_sigterm_says_not_ready_first_and_ends_within_five_seconds(home: Home, start: Start) -> None:
    running = start(env=home.env).wait_ready()
    began = time.monotonic()
    running.process.terminate()

    until(
        lambda: running.status("/ready") == 503, "/ready fails while requests are still answered", seconds=2
    )
    assert running.process.wait(timeout=10) == 0
    assert time.monotonic() - began < 5


def test_a_good_change_of_the_configuration_applies_and_a_bad_one_does_not(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")
    running = start(env=home.env).wait_ready()
    file = running.file.read_bytes()

    home.configure("discovery_interval: soon", "name_spaces: []")
    until(lambda: running.logged("configuration is not used"), "the bad one is told")
    assert running.logged("unknown key; allowed are")
    assert running.file.read_bytes() == file

    home.configure(
        f"namespaces: [{home.watched}]",
        "discovery_interval: 1s",
        "service_patterns: {prometheus: {enabled: false}}",
    )
    until(lambda: running.toolsets() == {}, "the good one is in force")


def test_a_wrong_configuration_at_start_is_exit_78_with_every_error(home: Home, start: Start) -> None:
    home.configure("discovery_interval: 5", "colour: blue")
    running = start(env=home.env)
    assert running.process.wait(timeout=30) == 78
    assert running.logged("kubernaut-dynamic-toolset-config")
    assert running.logged("service_discovery.discovery_interval")
    assert running.logged("service_discovery.colour")


def test_a_missing_configuration_is_created_with_the_defaults_and_never_reset(
    home: Home, start: Start
) -> None:
    name = "kubernaut-dynamic-toolset-config"
    home.plane.kubectl("delete", "configmap", name, "-n", home.own)
    running = start(env=home.env)
    until(lambda: running.logged(f"configmap {home.own}/{name} created, with the defaults"), "it is created")
    running.terminate()

    home.configure(f"namespaces: [{home.watched}]")
    start(env=home.env).wait_ready()
    text = home.plane.kubectl(
        "get", "configmap", name, "-n", home.own, "-o", "jsonpath={.data.config\\.yaml}"
    )
    assert text == f"service_discovery:\n  namespaces: [{home.watched}]\n"


def test_overrides_of_people_win_and_dangerous_ones_are_left_out(
    home: Home, start: Start, one_prometheus: Server
) -> None:
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")
    name = "kubernaut-toolset-overrides"
    off = "toolsets: {prometheus/metrics: {enabled: false}}"
    home.plane.apply(config_map(home.own, name, {"overrides.yaml": off}))
    running = start(env=home.env).wait_ready()
    assert running.toolsets()["prometheus/metrics"]["enabled"] is False

    shell = 'toolsets: {evil: {description: "x", tools: [{name: sh, command: "id"}]}}'
    home.plane.apply(config_map(home.own, name, {"overrides.yaml": shell}))
    until(lambda: running.logged("overrides is not used"), "it is told")
    assert running.toolsets()["prometheus/metrics"]["enabled"] is False, "the last good ones stay"
    assert "evil" not in running.toolsets()


def test_an_api_server_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    with running_control_plane(tmp_path / "plane") as plane:
        plane.kubectl("create", "namespace", "watched")
        plane.kubectl("create", "namespace", "own")
        env = Home(plane, "own", "watched").env
        plane.stop()
        running = start(env=env)
        until(lambda: running.logged("cannot reach the API server"), "the outage is told")
        until(
            lambda: running.status("/ready") == running.status("/startz") == 503, "neither ready nor started"
        )
        assert not running.file.exists(), "seeing nothing is not that there is nothing"

        plane.start()
        running.wait_ready()
