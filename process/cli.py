"""The command ``dynamic-toolset``: which subcommand is where.

Each is imported only when it is asked for, so that the guard carries nothing of the service (the
Kubernetes client alone takes 15 MB), and ``sidecar`` and ``webhook`` need not know each other.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from toolset import __version__

COMMANDS = {
    "completion": "process.completion:command",
    "credentials": "sidecar.cli:credentials",
    "diagnose": "sidecar.diagnose:diagnose",
    "discover": "sidecar.cli:discover",
    "explain": "sidecar.cli:explain_command",
    "run": "sidecar.cli:run",
    "validate": "sidecar.cli:validate",
    "version": "process.version:command",
    "webhook": "webhook.cli:webhook",
}


class _Commands(click.Group):
    """Commands that are loaded when they are needed (click: Lazily Loading Subcommands)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, by name."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: Any = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\n"
    "Exit codes:\n"
    "   0  done\n"
    "   1  what was asked could not be done; standard error says why\n"
    "   2  wrong usage\n"
    "  78  the configuration is wrong, and trying again will not help",
)
@click.version_option(__version__, prog_name="dynamic-toolset")
def main() -> None:
    """Finds a cluster's observability backends and writes the toolset file that HolmesGPT reads."""


def kubectl() -> None:
    """The same as a plugin: ``kubectl dynamic-toolset`` runs ``kubectl-dynamic_toolset``."""
    main(prog_name="kubectl dynamic-toolset")
