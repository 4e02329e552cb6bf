"""`config`, `tuning` and `namespaces` become the service's config.yaml, by the service's own rules."""

from typing import Any

import pytest
import yaml

from sidecar.config import Config, read_config
from tests.helm import CHART, Helm, HelmError
from tests.realparts import ROOT
from toolset import catalogue
from toolset.yaml_source import YamlError

CONFIG_MAP = "kubernaut-dynamic-toolset-config"
KNOWN = catalogue.bundled()


def rendered(helm: Helm, values: dict[str, Any]) -> Config:
    text = helm.render(values).one("ConfigMap", CONFIG_MAP)["data"]["config.yaml"]
    return read_config(text, frozenset(KNOWN))


def test_by_default_the_chart_leaves_the_configuration_to_the_service(helm: Helm) -> None:
    assert f"ConfigMap/{CONFIG_MAP}" not in helm.render().names()


@pytest.mark.parametrize(
    ("tuning", "seconds"), [("large", (600, 900, 60)), ("fast", (30, 60, 15)), ("default", (300, 600, 30))]
)
def test_profiles_are_the_runbooks(helm: Helm, tuning: str, seconds: tuple[int, int, int]) -> None:
    config = rendered(helm, {"tuning": tuning, "namespaces": ["shop"]})
    durations = (config.discovery_interval, config.cache_ttl, config.health_check_interval)
    assert tuple(duration.total_seconds() for duration in durations) == seconds
    assert config.namespaces == ("shop",)


def test_what_config_says_wins_over_the_profile_also_where_it_says_no(helm: Helm) -> None:
    said = {"discovery_interval": "42s", "enabled": False, "exclude_namespaces": [], "probe_concurrency": 7}
    config = rendered(helm, {"tuning": "fast", "config": {"service_discovery": said}})
    assert config.discovery_interval.total_seconds() == 42
    assert config.cache_ttl.total_seconds() == 60
    assert (config.enabled, config.probe_concurrency) == (False, 7)


def test_the_documented_configuration_goes_through_the_chart_unchanged(helm: Helm) -> None:
    text = (ROOT / "docs/configuration.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    document = yaml.safe_load(text)
    assert rendered(helm, {"config": document}) == read_config(text, frozenset(KNOWN))


def test_the_chart_knows_every_key_of_the_configuration_and_no_other() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    keys = schema["properties"]["config"]["properties"]["service_discovery"]["properties"]
    assert set(keys) == set(vars(Config()))


ALIKE: dict[str, tuple[dict[str, Any], bool]] = {
    "an interval": ({"discovery_interval": "1h30m"}, True),
    "an interval without its unit": ({"discovery_interval": "30"}, False),
    "an interval that is a number": ({"discovery_interval": 30}, False),
    "an interval in words": ({"cache_ttl": "five minutes"}, False),
    "an unknown key": ({"exclude_namespace": ["a"]}, False),
    "namespaces": ({"trusted_namespaces": ["monitoring"]}, True),
    "a namespace that cannot be": ({"exclude_namespaces": ["Kube_System"]}, False),
    "one namespace in place of a list": ({"exclude_namespaces": "kube-system"}, False),
    "words for a switch": ({"enabled": "yes"}, False),
    "too many probes": ({"probe_concurrency": 1001}, False),
    "no probes": ({"probe_concurrency": 0}, False),
    "half a probe": ({"probe_concurrency": 1.5}, False),
    "a pattern": ({"service_patterns": {"prometheus": {"ports": ["web", 9090]}}}, True),
    "an empty selector": ({"service_patterns": {"prometheus": {"selectors": [{}]}}}, False),
    "a port that is none": ({"service_patterns": {"prometheus": {"ports": [True]}}}, False),
    "a path that is none": ({"service_patterns": {"prometheus": {"health_check": {"path": "x"}}}}, False),
    "a health check without a path": ({"service_patterns": {"prometheus": {"health_check": {}}}}, False),
    "a variable": ({"credentials": {"allowed_env": ["A_KEY"]}}, True),
    "a variable that cannot be": ({"credentials": {"allowed_env": ["A-KEY"]}}, False),
    "a binding of no service": (
        {"credentials": {"bindings": [{"service": "es", "type": "elasticsearch", "values": {}}]}},
        False,
    ),
    "reconciliation": ({"reconciliation": {"enabled": False}}, True),
}


@pytest.mark.parametrize("case", ALIKE)
def test_the_chart_refuses_what_the_service_refuses(helm: Helm, case: str) -> None:
    said, good = ALIKE[case]
    document = {"service_discovery": said}

    def service_accepts() -> bool:
        try:
            read_config(yaml.safe_dump(document), frozenset(KNOWN))
        except YamlError:
            return False
        return True

    def chart_accepts() -> bool:
        try:
            helm.render({"config": document})
        except HelmError:
            return False
        return True

    assert (service_accepts(), chart_accepts()) == (good, good)
