"""Alerts, by Prometheus' own rule tester: when they fire, when they do not, and where they send people."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import Helm
from tests.realparts import ROOT, part, require, run

SUCCESS = 'toolset_services_discovered_total{namespace="kubernaut-system", status="success", pod="a"}'
FAILED = 'toolset_configmap_updates_total{namespace="kubernaut-system", status="failed", pod="a"}'
SUM = 'toolset_discovery_duration_seconds_sum{namespace="kubernaut-system", pod="a"}'
COUNT = 'toolset_discovery_duration_seconds_count{namespace="kubernaut-system", pod="a"}'
WAITING = (
    'kube_pod_container_status_waiting_reason{namespace="kubernaut-system", container="dynamic-toolset", '
    'reason="CrashLoopBackOff", pod="a"}'
)


def of(name: str, **labels: str) -> str:
    """A series as it is scraped."""
    pairs = {"namespace": "kubernaut-system", "pod": "a", **labels}
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in pairs.items()) + "}"


NOW = of("toolset_services", type="prometheus", status="verified")
SAW = of("toolset_last_successful_pass_timestamp_seconds")
REPAIRED = of("toolset_configmap_drift_total", action="repaired")
REFUSED = of("toolset_config_reloads_total", status="failed")
TOLD, UNTOLD = (of("toolset_holmesgpt_refreshes_total", status=it) for it in ("success", "failed"))
BUILD = of("toolset_build_info", version="1")
TRUSTED = of("toolset_guard_trusted")
ENDS = of("toolset_guard_certificate_expiry_timestamp_seconds")

CASES: dict[str, tuple[str, dict[str, str], str, bool]] = {
    "nothing for 20 minutes": ("DynamicToolsetNothingDiscovered", {SUCCESS: "7x40"}, "20m", True),
    "something each 5 minutes": ("DynamicToolsetNothingDiscovered", {SUCCESS: "0+1x40"}, "20m", False),
    "rare passes that found some": (
        "DynamicToolsetNothingDiscovered",
        {SUCCESS: "7x40", NOW: "7x40"},
        "20m",
        False,
    ),
    "two failures a minute": ("DynamicToolsetConfigMapUpdatesFail", {FAILED: "0+2x40"}, "12m", True),
    "one failure": ("DynamicToolsetConfigMapUpdatesFail", {FAILED: "0x5 1x40"}, "12m", False),
    "passes of 90 s": ("DynamicToolsetDiscoveryIsSlow", {SUM: "0+90x40", COUNT: "0+1x40"}, "20m", True),
    "passes of 3 s": ("DynamicToolsetDiscoveryIsSlow", {SUM: "0+3x40", COUNT: "0+1x40"}, "20m", False),
    "a loop of crashes": ("DynamicToolsetCrashLoops", {WAITING: "1x40"}, "8m", True),
    "one crash": ("DynamicToolsetCrashLoops", {WAITING: "1 0x40"}, "8m", False),
    "nothing is scraped": ("DynamicToolsetDown", {}, "6m", True),
    "it is scraped": ("DynamicToolsetDown", {BUILD: "1x40"}, "6m", False),
    "passes that all fail": ("DynamicToolsetStale", {SAW: "0x60", COUNT: "0+1x60"}, "25m", True),
    "no passes, and none needed": ("DynamicToolsetStale", {SAW: "0x60", COUNT: "3x60"}, "25m", False),
    "passes that succeed": ("DynamicToolsetStale", {SAW: "0+60x60", COUNT: "0+1x60"}, "25m", False),
    "an edit that was repaired": ("DynamicToolsetTamperedWith", {REPAIRED: "0x5 1x40"}, "8m", True),
    "no edit": ("DynamicToolsetTamperedWith", {REPAIRED: "1x40"}, "8m", False),
    "a bad configuration": ("DynamicToolsetConfigurationRefused", {REFUSED: "0x5 1x40"}, "8m", True),
    "good configurations": ("DynamicToolsetConfigurationRefused", {REFUSED: "0x40"}, "8m", False),
    "HolmesGPT is never reached": ("DynamicToolsetHolmesGPTNotRefreshed", {UNTOLD: "0+1x40"}, "10m", True),
    "it is reached the next time": (
        "DynamicToolsetHolmesGPTNotRefreshed",
        {UNTOLD: "0+1x40", TOLD: "0+1x40"},
        "10m",
        False,
    ),
    "no guard": ("DynamicToolsetGuardDown", {}, "6m", True),
    "a guard that nobody trusts": ("DynamicToolsetGuardDown", {TRUSTED: "0x40"}, "6m", True),
    "one of two guards": (
        "DynamicToolsetGuardDown",
        {TRUSTED: "0x40", of("toolset_guard_trusted", pod="b"): "1x40"},
        "6m",
        False,
    ),
    "four days left": ("DynamicToolsetCertificateEnds", {ENDS: f"{4 * 86400}x40"}, "20m", True),
    "ten days left": ("DynamicToolsetCertificateEnds", {ENDS: f"{10 * 86400}x40"}, "20m", False),
}


@pytest.fixture(scope="module")
def rules(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = helm.render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")["spec"]
    path = tmp_path_factory.mktemp("alerts") / "rules.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def promtool(*arguments: str) -> str:
    prometheus = part("programs/prometheus").resolve()
    program = require(prometheus.with_name("promtool"), "it comes with Prometheus")
    return run([str(program), *arguments])


def alerts(rules: Path) -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load(rules.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def test_the_runbooks_four_are_there_with_their_severity(rules: Path) -> None:
    severities = [alert["labels"]["severity"] for alert in alerts(rules)]
    assert severities[:4] == ["critical", "warning", "warning", "critical"]
    assert "SUCCESS" in promtool("check", "rules", str(rules))


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(rules: Path) -> None:
    shown = {(alert, fires) for alert, _, _, fires in CASES.values()}
    assert shown == {(alert["alert"], fires) for alert in alerts(rules) for fires in (True, False)}


def test_each_alert_leads_to_a_section_of_the_runbook(rules: Path) -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for alert in alerts(rules):
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in anchors, alert["alert"]


def test_without_a_guard_nobody_waits_for_one(helm: Helm) -> None:
    values = {"guard": {"mode": "off"}, "metrics": {"prometheusRule": {"enabled": True}}}
    assert "Guard" not in yaml.safe_dump(helm.render(values).one("PrometheusRule")["spec"])


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_must_and_else_not(rules: Path, tmp_path: Path, case: str) -> None:
    alert, series, at, fires = CASES[case]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]})
    )
    promtool("test", "rules", str(path))
