"""The customer: the real HolmesGPT loads what a real pass over a real API server wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.home import Home, service
from tests.programs import Holmes, Serve
from tests.realparts import until
from tests.service import Start, command

QUERY = ("execute_prometheus_instant_query", {"query": "up", "description": "is it up"})


def enabled(told: dict[str, object], name: str) -> bool:
    toolsets = told["toolsets"]
    assert isinstance(toolsets, dict)
    return bool(toolsets[name]["status"] == "enabled")


def test_holmesgpt_enables_a_discovered_prometheus_and_queries_it(
    home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str], holmes: Holmes
) -> None:
    address = cluster_ip()
    scrape_itself = f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['{address}:9090']}}]}}]"
    prometheus(f"{address}:9090", config=f"global: {{scrape_interval: 1s}}\n{scrape_itself}\n")
    home.plane.apply(service(home.watched, "prometheus", address))
    running = start(env=home.env).wait_ready()

    dns = {f"prometheus.{home.watched}.svc.cluster.local": address}

    def queried() -> bool:
        told = holmes(running.file, dns=dns, invoke=[QUERY])
        assert told["outcome"] == "loaded", told
        assert told["errors"] == told["warnings"] == [], told
        assert enabled(told, "prometheus/metrics"), told
        (answer,) = told["invocations"]
        # Before the first scrape HolmesGPT calls an empty result an error.
        return answer["status"] == "success" and "self" in str(answer["data"])

    until(queried, "the query returns what the Prometheus scraped")


def test_holmesgpt_chooses_between_two_discovered_instances(
    home: Home,
    start: Start,
    prometheus: Serve,
    alertmanager: Serve,
    cluster_ip: Callable[[], str],
    holmes: Holmes,
) -> None:
    one, two, alerts = cluster_ip(), cluster_ip(), cluster_ip()
    prometheus(f"{one}:9090")
    prometheus(f"{two}:9090", "--web.route-prefix=/metrics-two", ready="/metrics-two/-/ready")
    alertmanager(f"{alerts}:9093")
    home.plane.apply(
        service(home.watched, "prometheus-one", one),
        service(home.watched, "prometheus-two", two),
        service(home.watched, "alertmanager", alerts, 9093),
    )
    running = start(env=home.env).wait_ready()
    names = {"prometheus-one": one, "prometheus-two": two, "alertmanager": alerts}
    dns = {f"{name}.{home.watched}.svc.cluster.local": address for name, address in names.items()}
    instance = f"{home.watched}/prometheus-two"
    alerts_toolset = next(name for name in running.toolsets() if name.startswith("alertmanager/"))
    alerts_tool = alerts_toolset.replace("/", "_").replace("-", "_") + "_request"
    url = f"http://alertmanager.{home.watched}.svc.cluster.local:9093/api/v2/alerts"

    told = holmes(
        running.file,
        dns=dns,
        invoke=[
            (QUERY[0], {"query": "1 + 1", "description": "two", "instance": instance}),
            (alerts_tool, {"url": url, "method": "GET"}),
        ],
    )

    assert told["outcome"] == "loaded", told
    assert told["errors"] == told["warnings"] == [], told
    assert [answer["status"] for answer in told["invocations"]] == ["success", "success"], told["invocations"]
    assert not told["shadowed_tools"]


def test_holmesgpts_refresh_takes_in_a_change_of_instances(
    home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str], holmes: Holmes, tmp_path: Path
) -> None:
    address, second = cluster_ip(), cluster_ip()
    prometheus(f"{address}:9090")
    prometheus(f"{second}:9091")
    home.configure(f"namespaces: [{home.watched}]", "discovery_interval: 1s")
    home.plane.apply(service(home.watched, "prometheus", address))
    running = start(env=home.env).wait_ready()
    before = tmp_path / "before.yaml"
    before.write_bytes(running.file.read_bytes())

    # Another address behind the same name: HolmesGPT's refresh would not see it without the marker.
    home.plane.kubectl("delete", "service", "prometheus", "-n", home.watched)
    home.plane.apply(service(home.watched, "prometheus", second, 9091))
    url = f"http://prometheus.{home.watched}.svc.cluster.local:9091"
    until(
        lambda: running.toolsets().get("prometheus/metrics", {}).get("config") == {"prometheus_url": url},
        "the file has the new address",
    )

    dns = {f"prometheus.{home.watched}.svc.cluster.local": address}
    told = holmes(before, dns=dns, then=[running.file])

    assert told["outcome"] == "loaded", told
    assert told["refreshes"][0]["picked_up"], told["refreshes"]


@pytest.mark.parametrize("arguments", [(), ("--no-probe",)])
def test_every_form_that_manifests_lead_to_is_loaded_without_a_warning(
    tmp_path: Path, holmes: Holmes, arguments: tuple[str, ...]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service_discovery: {trusted_namespaces: [shop]}\n")
    written = command(
        "discover", "--from", "examples/cluster", "--config", str(config), "--output", "holmes", *arguments
    )
    assert written.returncode == 0, written.stderr
    file = tmp_path / "custom_toolset.yaml"
    file.write_text(written.stdout)

    told = holmes(file, check=False)

    assert told["outcome"] == "loaded", told
    assert told["errors"] == told["warnings"] == told["dropped"] == [], told
    ignored = {name: entry["config_check"].get("ignored", []) for name, entry in told["toolsets"].items()}
    assert not any(ignored.values()), ignored
    assert len(told["toolsets"]) >= 8


def test_the_base_file_of_the_user_wins_in_holmesgpt(
    home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str], holmes: Holmes, tmp_path: Path
) -> None:
    address = cluster_ip()
    prometheus(f"{address}:9090")
    home.plane.apply(service(home.watched, "prometheus", address))
    base = tmp_path / "base.yaml"
    base.write_text(
        f"toolsets:\n  prometheus/metrics: {{enabled: true}}\n  internet: {{enabled: false}}\n"
        f"  mine: {{type: http, config: {{endpoints: [{{hosts: ['http://{address}:9090']}}]}}}}\n"
    )
    running = start("--base", str(base), env=home.env).wait_ready()
    dns = {f"prometheus.{home.watched}.svc.cluster.local": address}

    told = holmes(running.file, dns=dns)

    assert told["outcome"] == "loaded", told
    assert enabled(told, "prometheus/metrics"), "completed by the discovered URL"
    assert enabled(told, "mine")
    assert told["toolsets"]["internet"]["enabled"] is False
