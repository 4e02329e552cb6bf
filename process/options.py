"""What options of several commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from process import log

F = TypeVar("F", bound=Callable[..., Any])


def options(*several: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: F) -> F:
        for option in reversed(several):
            function = option(function)
        return function

    return decorate


def examples(*lines: str) -> str:
    """An epilog for a command's help: how it is used, as it is typed.

    The mark keeps click from filling the lines (click: Preventing Rewrapping).
    """
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def address(_: click.Context, option: click.Parameter, value: str) -> str:
    """A click callback: ``HOST:PORT``."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports
        raise click.BadParameter(
            f"{value!r}: expected HOST:PORT, such as 127.0.0.1:8080 or [::]:8080", param=option
        )
    return value


log_options = options(
    click.option(
        "--log-format", type=click.Choice(log.FORMATS), envvar="LOG_FORMAT", default="text", show_default=True
    ),
    click.option("--log-level", type=click.Choice(log.LEVELS), envvar="LOG_LEVEL", default=None),
)

cluster_options = options(
    click.option(
        "--kubeconfig", metavar="FILE", envvar="KUBECONFIG", default="", help="Which cluster, as kubectl."
    ),
    click.option(
        "--context", metavar="NAME", envvar="DYNAMIC_TOOLSET_CONTEXT", default="", help="A context of it."
    ),
)
