"""The command as people type it: help, examples, version, completion; also as kubectl's plugin."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from process import completion
from process.cli import COMMANDS, main
from process.version import build
from tests.realparts import unavailable
from toolset import __version__

BIN = Path(sys.executable).parent
NAMES = sorted(COMMANDS)


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def examples(name: str) -> list[str]:
    epilog = command(name).epilog or ""
    assert epilog.startswith("\b\nExamples:\n"), name
    return [line.strip() for line in epilog.splitlines()[2:]]


def own_words(line: str) -> list[list[str]]:
    """The arguments of ours in a line of shell: without the rest of the pipe, and where its output goes."""
    return [shlex.split(ours)[1:] for ours in re.findall(r"dynamic-toolset [^|>)]*", line)]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_examples_and_each_of_them_is_understood(name: str) -> None:
    for line in examples(name):
        typed = own_words(line)
        assert name in [first for first, *_ in typed]
        for first, *rest in typed:
            command(first).make_context(first, rest)


@pytest.mark.parametrize("name", NAMES)
def test_help_says_in_one_line_what_a_command_does(name: str) -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    (line,) = re.findall(rf"^  {name} +(.+)$", told, re.MULTILINE)
    assert not line.endswith("..."), f"{name}: its first sentence is too long for the list: {line}"


def test_help_tells_the_exit_codes() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    for code in (0, 1, 2, 78):
        assert re.search(rf"^ +{code}  \w", told, re.MULTILINE), code


def test_version_is_told_for_people_and_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIC_TOOLSET_COMMIT", "0123abc")
    runner = CliRunner()
    assert f"version     {__version__}\ncommit      0123abc\n" in runner.invoke(main, ["version"]).output
    as_json = json.loads(runner.invoke(main, ["version", "-o", "json"]).output)
    as_yaml = yaml.safe_load(runner.invoke(main, ["version", "-o", "yaml"]).output)
    assert as_json == as_yaml == build()
    assert __version__ in runner.invoke(main, ["--version"]).output


def test_the_holmesgpt_that_version_names_is_the_one_that_is_tested_with() -> None:
    locked = (Path(__file__).parents[2] / "requirements/holmesgpt.txt").read_text()
    assert f"\nholmesgpt=={build()['holmesgpt']} " in locked


def run_in(shell: str, script: str) -> str:
    program = shutil.which(shell)
    if program is None:
        unavailable(f"{shell} is not installed")
    env = {"PATH": f"{BIN}:{os.environ['PATH']}"}
    line = [program, "-c", script]
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


def test_bash_completes_commands_options_and_choices() -> None:
    complete = """
        source <(dynamic-toolset completion bash)
        complete -p dynamic-toolset
        try() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _dynamic_toolset_completion dynamic-toolset
            echo "${COMPREPLY[*]}"
        }
        try dynamic-toolset d
        try dynamic-toolset discover --watc
        try dynamic-toolset discover --output ""
    """
    registered, *told = run_in("bash", complete).splitlines()
    assert "-F _dynamic_toolset_completion dynamic-toolset" in registered
    assert "discover" in told[0].split()
    assert told[1:] == ["--watch", "table wide json yaml holmes"]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    told = CliRunner().invoke(main, ["completion", shell])
    assert told.exit_code == 0
    assert f"_DYNAMIC_TOOLSET_COMPLETE={shell}_complete" in told.output


def test_kubectl_is_told_candidates_and_whether_files_may_follow() -> None:
    *commands, last = completion.candidates(main, [""]).splitlines()
    assert [line.partition("\t")[0] for line in commands] == NAMES
    assert last == ":4"
    assert completion.candidates(main, ["validate", ""]) == ":0\n", "its argument is a file"
    assert completion.candidates(main, ["discover", "-o", "j"]) == "json\n:4\n"


def test_as_a_plugin_it_calls_itself_what_people_typed() -> None:
    line = [BIN / "kubectl-dynamic_toolset", "discover", "--help"]
    told = subprocess.run(line, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("Usage: kubectl dynamic-toolset discover [OPTIONS]")
