"""What people can set, say or see is documented, and nothing else is."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar import cli, config
from sidecar.metrics import Metrics
from toolset import catalogue

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def test_the_documented_configuration_is_valid_and_holds_every_key() -> None:
    text = CONFIGURATION.partition("```yaml\n")[2].partition("```")[0]
    read = config.read_config(text, frozenset(catalogue.bundled()))
    for key in vars(config.Config()):
        assert re.search(rf"^  {key}:", text, re.MULTILINE), key
    defaults = config.Config()
    for key in vars(defaults).keys() - {"service_patterns"}:
        assert getattr(read, key) == getattr(defaults, key), f"{key}: the documented default is another"


def test_the_defaults_that_are_written_out_are_the_defaults() -> None:
    assert config.read_config(config.WRITTEN_OUT, frozenset()) == config.Config()


@pytest.mark.parametrize("option", [option for option in cli.run.params if option.name != "help"])
def test_every_option_and_its_variable_is_documented(option: object) -> None:
    assert option.opts[0] in CONFIGURATION  # type: ignore[attr-defined]
    assert f"`{option.envvar}`" in CONFIGURATION  # type: ignore[attr-defined]


def test_every_metric_is_documented() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    for metric in registry.collect():
        assert metric.name in CONFIGURATION


def test_every_module_is_in_the_architecture() -> None:
    architecture = (ROOT / "docs/architecture.md").read_text()
    for package in ("toolset", "sidecar"):
        for module in (ROOT / package).glob("[a-z]*.py"):
            assert module.name in architecture, module.name


def test_the_documented_backend_is_read_and_shows_every_field() -> None:
    text = (ROOT / "docs/backends.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    backend = catalogue.read_backend(text, "docs/backends.md")
    for part in (backend, backend.recognise, backend.endpoint, backend.toolsets[0], backend.credentials):
        for name in vars(part).keys() - {"priority", "toolsets"}:
            assert re.search(rf"\b{name}:", text), name


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
