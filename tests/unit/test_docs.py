"""What people can set, say or see is documented, and nothing else is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from prometheus_client import CollectorRegistry

from process.cli import COMMANDS, main
from sidecar import cli, config
from sidecar.metrics import Metrics
from toolset import annotations, catalogue
from webhook import cli as guard_cli
from webhook import config as guard_config
from webhook.metrics import Metrics as GuardMetrics

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


OPTIONS = [*cli.run.params, *guard_cli.webhook.params]
COMMAND_LINE = (ROOT / "docs/cli.md").read_text()


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.name != "help"])
def test_every_option_and_its_variable_is_documented(option: object) -> None:
    assert option.opts[0] in CONFIGURATION  # type: ignore[attr-defined]
    assert f"`{option.envvar}`" in CONFIGURATION  # type: ignore[attr-defined]


def test_nothing_else_is_documented_as_an_option_or_a_variable() -> None:
    tables = CONFIGURATION.partition("## Options and environment")[2].partition("Exit codes")[0]
    known = {name for option in OPTIONS for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"--[a-z][a-z-]+", tables)) <= known
    variables = {option.envvar for option in OPTIONS} | {"POD_NAMESPACE", "POD_NAME"}
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", tables)) <= variables


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_its_options_are_documented(name: str) -> None:
    assert f"| `{name}" in COMMAND_LINE
    command = main.get_command(click.Context(main), name)
    assert command is not None
    for option in command.params:
        if name not in {"run", "webhook"} and isinstance(option, click.Option):
            assert option.opts[0] in COMMAND_LINE, option.opts


def test_no_other_command_is_documented() -> None:
    table = COMMAND_LINE.partition("| command |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) == set(COMMANDS)


def test_every_metric_is_documented_and_no_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    GuardMetrics(registry)
    suffix = {"counter": "_total", "info": "_info"}  # OpenMetrics: Suffixes
    there = {metric.name + suffix.get(metric.type, "") for metric in registry.collect()}
    told = re.findall(r"^\| `(toolset_\w+?)(?:\{[^}]*\})?` \|", CONFIGURATION, re.MULTILINE)
    assert sorted(told) == sorted(there)


def test_every_annotation_of_a_service_is_documented_and_no_other() -> None:
    table = CONFIGURATION.partition("## Annotations of a Service")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(kubernaut\.io/[\w-]+)` \|", table, re.MULTILINE)
    assert sorted(told) == sorted(annotations.KNOWN)


def test_every_backend_is_in_the_table(tmp_path: Path) -> None:
    page = tmp_path / "backends.md"
    shutil.copy(ROOT / "docs/backends.md", page)
    subprocess.run([sys.executable, ROOT / "scripts/backends_table.py", page], cwd=ROOT, check=True)
    assert page.read_text() == (ROOT / "docs/backends.md").read_text(), "run scripts/backends-table"


def test_the_guards_documented_configuration_is_its_defaults_and_holds_every_key() -> None:
    text = (ROOT / "docs/guard.md").read_text().rpartition("```yaml\n")[2].partition("```")[0]
    assert guard_config.read_config(text) == guard_config.Config()
    for key in (*vars(guard_config.Config()), *vars(guard_config.Certificate())):
        assert re.search(rf"^ +{key}:", text, re.MULTILINE), key


def test_sidecar_and_webhook_do_not_know_each_other() -> None:
    allowed = {"toolset": {"toolset"}, "process": {"toolset", "process"}}
    for package in ("toolset", "process", "sidecar", "webhook"):
        for module in (ROOT / package).glob("**/*.py"):
            imported = re.findall(
                r"^ *(?:from|import) (toolset|process|sidecar|webhook)\b", module.read_text(), re.MULTILINE
            )
            assert set(imported) <= allowed.get(package, {"toolset", "process", package}), module


def test_every_module_is_in_the_architecture() -> None:
    architecture = (ROOT / "docs/architecture.md").read_text()
    for package in ("toolset", "process", "sidecar", "webhook"):
        for module in (ROOT / package).glob("**/[a-z]*.py"):
            assert module.name in architecture, module.name


def test_the_documented_backend_is_read_and_shows_every_field() -> None:
    text = (ROOT / "docs/backends.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    backend = catalogue.read_backend(text, "docs/backends.md")
    assert backend.credentials
    secret = backend.credentials.alternatives[0].secrets[0]
    parts = (backend, backend.recognise, backend.endpoint, backend.toolsets[0], backend.credentials, secret)
    for part in parts:
        for name in vars(part).keys() - {"priority", "toolsets"}:
            assert re.search(rf"\b{name}:", text), name


@pytest.mark.parametrize("page", [ROOT / "README.md", *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    ours = r"`\.?/?((?:tests|scripts|toolset|sidecar|webhook|process|helm|examples|deploy)/[\w./-]+)`"
    for named in set(re.findall(ours, page.read_text())) - {"toolset/backends/pushgateway.yaml"}:
        assert (ROOT / named).exists(), named


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
