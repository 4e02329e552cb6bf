"""The runbook's alerts, by Prometheus' own rule tester: when they fire, and when they do not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import Helm
from tests.realparts import part, require, run

SUCCESS = 'toolset_services_discovered_total{namespace="kubernaut-system", status="success", pod="a"}'
FAILED = 'toolset_configmap_updates_total{namespace="kubernaut-system", status="failed", pod="a"}'
SUM = 'toolset_discovery_duration_seconds_sum{namespace="kubernaut-system", pod="a"}'
COUNT = 'toolset_discovery_duration_seconds_count{namespace="kubernaut-system", pod="a"}'
WAITING = (
    'kube_pod_container_status_waiting_reason{namespace="kubernaut-system", container="dynamic-toolset", '
    'reason="CrashLoopBackOff", pod="a"}'
)
CASES: dict[str, tuple[str, dict[str, str], str, bool]] = {
    "nothing for 20 minutes": ("DynamicToolsetNothingDiscovered", {SUCCESS: "7x40"}, "20m", True),
    "something each 5 minutes": ("DynamicToolsetNothingDiscovered", {SUCCESS: "0+1x40"}, "20m", False),
    "two failures a minute": ("DynamicToolsetConfigMapUpdatesFail", {FAILED: "0+2x40"}, "12m", True),
    "one failure": ("DynamicToolsetConfigMapUpdatesFail", {FAILED: "0x5 1x40"}, "12m", False),
    "passes of 90 s": ("DynamicToolsetDiscoveryIsSlow", {SUM: "0+90x40", COUNT: "0+1x40"}, "20m", True),
    "passes of 3 s": ("DynamicToolsetDiscoveryIsSlow", {SUM: "0+3x40", COUNT: "0+1x40"}, "20m", False),
    "a loop of crashes": ("DynamicToolsetCrashLoops", {WAITING: "1x40"}, "8m", True),
    "one crash": ("DynamicToolsetCrashLoops", {WAITING: "1 0x40"}, "8m", False),
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


def test_the_runbooks_four_are_there_with_their_severity(rules: Path) -> None:
    alerts = yaml.safe_load(rules.read_text())["groups"][0]["rules"]
    assert [alert["labels"]["severity"] for alert in alerts] == ["critical", "warning", "warning", "critical"]
    assert "SUCCESS" in promtool("check", "rules", str(rules))


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
