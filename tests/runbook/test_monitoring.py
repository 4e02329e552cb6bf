"""A real Prometheus scrapes the real service and its guard: alerts fire, and each panel shows something."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import CHART, Helm
from tests.programs import Serve, Server
from tests.realparts import LOCAL, part, run, until
from tests.runbook.site import OWN, Site
from tests.service import COMMAND, free_address

QUICK = {"[15m]": "[20s]", "[10m]": "[60s]", "[5m]": "[30s]"}


@pytest.fixture
def guard(site: Site, tmp_path: Path) -> Iterator[str]:
    """The address of a guard that the API server sends reviews to."""
    listen = free_address()
    env = {"POD_NAMESPACE": OWN, "KUBECONFIG": str(site.plane.kubeconfig)}
    with (tmp_path / "guard.log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "webhook", "--listen", listen, "--register", "url"],
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield listen
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        site.plane.kubectl("delete", "validatingwebhookconfigurations", "--all")


@pytest.fixture
def watching(broken: Site, guard: str, prometheus: Serve, helm: Helm, tmp_path: Path) -> Server:
    """A Prometheus with the chart's rules, in which minutes are seconds."""
    spec = helm.render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")["spec"]
    text = yaml.safe_dump(spec, width=1000)
    for window, shorter in QUICK.items():
        text = text.replace(window, shorter)
    text = re.sub(r"^( +)for: .*$", r"\1for: 1s", text, flags=re.MULTILINE)
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    labels = {"namespace": OWN}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "service",
                "static_configs": [
                    {"targets": [f"{broken.address}:9090"], "labels": {**labels, "pod": "service"}}
                ],
            },
            {
                "job_name": "guard",
                "scheme": "https",
                "tls_config": {"insecure_skip_verify": True},
                "static_configs": [{"targets": [guard], "labels": {**labels, "pod": "guard"}}],
            },
        ],
    }
    return prometheus(free_address(), config=yaml.safe_dump(config))


def ask(server: Server, query: str) -> list[dict[str, Any]]:
    answer = LOCAL.get(f"{server.url}/api/v1/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", f"{query}: {answer}"
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def firing(server: Server) -> set[str]:
    return {it["metric"]["alertname"] for it in ask(server, 'ALERTS{alertstate="firing"}')}


@pytest.mark.row(
    "Alert thresholds",
    "alert: DynamicToolsetNothingDiscovered",
    "alert: DynamicToolsetConfigMapUpdatesFail",
    "alert: DynamicToolsetTamperedWith",
    "alert: DynamicToolsetConfigurationRefused",
    "alert: DynamicToolsetDown",
)
def test_alerts_fire_when_it_happens_and_end_when_it_is_cured(broken: Site, watching: Server) -> None:
    until(lambda: ask(watching, 'toolset_leader{namespace="kubernaut-system"} == 1'), "it is scraped")
    until(lambda: ask(watching, "toolset_guard_trusted == 1"), "the guard is scraped")
    until(lambda: "DynamicToolsetGuardDown" not in firing(watching), "the guard is not down")

    # The guard would keep a stranger from it: who deletes is let.
    broken.bash("kubectl delete configmap kubernaut-toolset-config -n monitoring")
    until(lambda: "DynamicToolsetTamperedWith" in firing(watching), "tampering is told")

    broken.configure("discovery_interval: often")
    until(lambda: "DynamicToolsetConfigurationRefused" in firing(watching), "the refusal is told")

    broken.configure("discovery_interval: 1s", "namespaces: [elsewhere]")
    until(lambda: "DynamicToolsetNothingDiscovered" in firing(watching), "nothing is discovered", seconds=90)

    broken.bash("kubectl create quota none -n monitoring --hard=count/configmaps=0")
    broken.configure("discovery_interval: 1s", "namespaces: [monitoring]")
    until(lambda: "DynamicToolsetNothingDiscovered" not in firing(watching), "it is again", seconds=60)
    until(lambda: "DynamicToolsetConfigMapUpdatesFail" in firing(watching), "writes fail", seconds=150)
    broken.bash("kubectl delete quota none -n monitoring")

    broken.end()
    until(lambda: "DynamicToolsetDown" in firing(watching), "nothing is scraped", seconds=60)
    broken.restart()
    broken.shows("prometheus", seconds=120)
    until(lambda: "DynamicToolsetDown" not in firing(watching), "it is scraped again", seconds=60)


@pytest.mark.row("Dashboard", "each panel's query shows something")
def test_each_panel_of_the_dashboard_shows_something(broken: Site, watching: Server) -> None:
    panels = json.loads((CHART / "files/dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    until(lambda: ask(watching, "toolset_guard_trusted == 1"), "the guard is scraped")
    broken.add("prometheus-more")
    broken.shows("prometheus", "prometheus-more")
    for query in queries:
        until(lambda: ask(watching, query), f"{query} shows something", seconds=60)  # noqa: B023 - of this turn


@pytest.mark.row("SLOs", "each recording rule has a value")
def test_each_promise_is_recorded(broken: Site, watching: Server) -> None:
    rules = LOCAL.get(f"{watching.url}/api/v1/rules?type=record", timeout=10).json()["data"]["groups"]
    names = [rule["name"] for group in rules for rule in group["rules"]]
    assert len(names) == 6
    # An increase is one between two looks.
    until(lambda: ask(watching, "count_over_time(toolset_leader[1m]) > 2"), "it was scraped before")
    broken.add("prometheus-more")
    broken.shows("prometheus", "prometheus-more")
    for name in names:
        until(lambda: ask(watching, name), f"{name} is recorded", seconds=60)  # noqa: B023 - of this turn


@pytest.mark.row("Key metrics", "names follow Prometheus' rules")
def test_promtool_finds_nothing_wrong_with_any_metric(site: Site, guard: str) -> None:
    promtool = part("programs/prometheus").resolve().with_name("promtool")

    def served() -> str:
        curl = [
            "curl",
            "-sk",
            "--retry",
            "30",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            f"https://{guard}/metrics",
        ]
        return run(curl)

    for text in (LOCAL.get(f"http://{site.address}:9090/metrics", timeout=5).text, served()):
        assert run([str(promtool), "check", "metrics"], input=text) == ""
