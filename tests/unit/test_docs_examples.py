"""Every example in the documentation works: it is run, loaded, or shown by a test that is named here."""

import os
import re
import shlex
from collections.abc import Callable
from typing import Any

import click
import pytest
import yaml

from process.cli import COMMANDS, main
from sidecar.config import read_config
from tests.documentation import Command, blocks, commands, program, resolved
from tests.realparts import ROOT
from tests.service import command
from toolset.catalogue import bundled, logins, read_backend
from toolset.documents import toolset_file_problems
from toolset.yaml_source import parse
from webhook.config import read_config as read_guard_config

# What is no matter of this file, and where it is shown instead.
ELSEWHERE = {
    "kubectl": "tests/chart/test_docs_examples.py",
    "helm": "tests/chart/test_docs_examples.py",
    "holmes": "tests/contract/test_via.py",
    "export": "tests/contract/test_via.py",
    "curl": "tests/contract/test_adding_a_backend.py",
    "source": "tests/unit/test_command_line.py",
    "docker": "tests/chart/test_image.py",
}
OURS = [
    it for it in commands() if "dynamic-toolset " in it.line and program(it.line) not in {"helm", "source"}
]
RUN = [it for it in OURS if "--from examples/cluster" in it.line and it.shown]


def test_there_are_examples() -> None:
    assert len(commands()) > 30
    assert len(RUN) >= 3


@pytest.mark.parametrize("it", commands(), ids=str)
def test_every_command_is_one_that_is_shown_to_work(it: Command) -> None:
    known = program(it.line)
    if known in ELSEWHERE:
        assert (ROOT / ELSEWHERE[known]).exists()
    else:
        assert known in {"dynamic-toolset", "./scripts/run", "./scripts/test"}, it.line


@pytest.mark.parametrize("it", OURS, ids=str)
def test_every_option_of_ours_is_understood(it: Command) -> None:
    ours = re.search(r"dynamic-toolset ([^|>]*)", it.line)
    assert ours
    name, *arguments = shlex.split(ours[1])
    assert name in COMMANDS
    found = main.get_command(click.Context(main), name)
    assert found is not None
    found.make_context(name, arguments)


@pytest.mark.parametrize("it", RUN, ids=str)
def test_what_a_page_shows_is_what_is_printed(it: Command) -> None:
    done = command(*shlex.split(it.line)[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout == it.shown


@pytest.mark.parametrize("it", commands(), ids=str)
def test_every_path_of_this_repository_is_there(it: Command) -> None:
    for path in resolved(it.line):
        assert path.exists(), path
        assert path.is_dir() or path.suffix or os.access(path, os.X_OK), path


def accept_config(text: str) -> None:
    read_config(text, frozenset(bundled()), logins(bundled()))


def accept_toolsets(text: str) -> None:
    assert toolset_file_problems(parse(text)) == []


def accept_backend(text: str) -> None:
    assert read_backend(text, "the page").proofs


def accept_guard(text: str) -> None:
    assert read_guard_config(text)


# By a key at the top; the chart's and HolmesGPT's values and custom resources are shown elsewhere.
KINDS: dict[str, Callable[[str], Any]] = {
    "service_discovery": accept_config,
    "toolsets": accept_toolsets,
    "proofs": accept_backend,
    "guard": accept_guard,
}
SHOWN_ELSEWHERE = {
    "apiVersion": "tests/chart/test_docs_examples.py",
    "additionalVolumes": "tests/chart/test_docs_examples.py",
    "dependencies": "tests/chart/test_subchart.py",
}


@pytest.mark.parametrize(("page", "text"), blocks("yaml"), ids=lambda it: it[:40])
def test_every_yaml_is_accepted_by_what_reads_it(page: str, text: str) -> None:
    data = yaml.safe_load(text)
    reader = next((KINDS[key] for key in ("proofs", *KINDS) if key in data), None)
    if reader:
        reader(text)
    else:
        [shown] = [SHOWN_ELSEWHERE[key] for key in data if key in SHOWN_ELSEWHERE]
        assert (ROOT / shown).exists()
