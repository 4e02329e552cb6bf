"""Metrics that tenants cannot blow up, with series that are there before anything happens."""

import re

from prometheus_client import CollectorRegistry, generate_latest

from sidecar.metrics import Metrics
from toolset import __version__


def exposed(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_types_that_the_catalogue_has_not_are_one_series() -> None:
    metrics = Metrics(CollectorRegistry())
    for number in range(100):
        metrics.count_service(f"made-up-{number}", "verified")
    metrics.count_service("prometheus", "verified")

    lines = [line for line in exposed(metrics).splitlines() if line.startswith("toolset_services{")]

    assert sorted(lines) == [
        'toolset_services{status="verified",type="other"} 100.0',
        'toolset_services{status="verified",type="prometheus"} 1.0',
    ]


def test_what_may_increase_is_there_from_the_start_so_that_the_first_time_counts() -> None:
    text = exposed(Metrics(CollectorRegistry()))
    for line in (
        'toolset_services_discovered_total{status="success"} 0.0',
        'toolset_services_discovered_total{status="failed"} 0.0',
        'toolset_configmap_updates_total{status="success"} 0.0',
        'toolset_configmap_updates_total{status="failed"} 0.0',
        'toolset_configmap_drift_total{action="repaired"} 0.0',
        'toolset_config_reloads_total{status="failed"} 0.0',
    ):
        assert line in text


def test_labels_are_few_and_none_of_them_names_a_tenants_object() -> None:
    labels = set(re.findall(r"[{,](\w+)=", exposed(Metrics(CollectorRegistry()))))
    assert labels <= {"status", "type", "action", "resource", "reason", "version", "le"}


def test_the_build_says_which_version_it_is() -> None:
    assert f'toolset_build_info{{version="{__version__}"}} 1.0' in exposed(Metrics(CollectorRegistry()))
