"""Shell completion: of ``dynamic-toolset`` by click's scripts, and of the plugin by kubectl's rules.

kubectl asks an executable ``kubectl_complete-dynamic_toolset`` on PATH and expects what cobra's commands
answer (kubectl: Extend kubectl with plugins, "Shell completion"): a candidate a line, its description
behind a tab, and last a line with a directive.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete, get_completion_class

from process.options import examples

PROGRAM = "dynamic-toolset"
_VARIABLE = "_DYNAMIC_TOOLSET_COMPLETE"
"""Where click looks, by its own rule, for what is to be completed."""

SHELLS = ("bash", "zsh", "fish")

_FILES, _NO_FILES = 0, 4
"""cobra's ShellCompDirectiveDefault and ShellCompDirectiveNoFileComp."""


def script(command: click.Command, shell: str) -> str:
    """What a shell is to read so that it completes ``dynamic-toolset``."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has all of SHELLS
    # Bash's own would run `bash --version` first, to refuse releases of before 2016.
    return kind.source_template % kind(command, {}, PROGRAM, _VARIABLE).source_vars()


def candidates(command: click.Command, words: Sequence[str]) -> str:
    """What may stand for the last of ``words``, as kubectl wants it."""
    *before, incomplete = words or [""]
    found = ShellComplete(command, {}, PROGRAM, _VARIABLE).get_completions(list(before), incomplete)
    files = any(item.type in {"file", "dir"} for item in found)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in found]
    return "".join(f"{line}\n" for line in ([] if files else lines)) + f":{_FILES if files else _NO_FILES}\n"


@click.command(
    "completion",
    epilog=examples(
        "source <(dynamic-toolset completion bash)",
        "dynamic-toolset completion zsh > ~/.zfunc/_dynamic-toolset",
        "dynamic-toolset completion fish > ~/.config/fish/completions/dynamic-toolset.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what a shell reads to complete this.

    kubectl completes `kubectl dynamic-toolset` by itself once its own completion is set up.
    """
    click.echo(script(ctx.find_root().command, shell))


def for_kubectl() -> None:
    """The executable ``kubectl_complete-dynamic_toolset``."""
    from process.cli import main  # noqa: PLC0415 - it names this module in its table

    sys.stdout.write(candidates(main, sys.argv[1:]))
