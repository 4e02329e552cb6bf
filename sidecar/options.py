"""Where to look, as options of several commands, and the controller that they ask for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from process import log
from process.options import cluster_options, log_options, options
from sidecar import assembly
from sidecar.assembly import Wanted
from sidecar.cluster import Cluster
from sidecar.connection import ClusterError
from sidecar.controller import Controller
from sidecar.metrics import Metrics
from sidecar.settings import Settings
from sidecar.sources import SourceError, WrongTextError
from toolset import render
from toolset.text import printable
from toolset.via import KubectlProxy

EXIT_CONFIG = os.EX_CONFIG
"""78: the configuration is wrong, and starting again will not help (sysexits.h)."""


def _version(_: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    if not value:
        return ()
    if not re.fullmatch(r"v?\d{1,6}\.\d{1,6}(\.\d{1,6})?", value):
        raise click.BadParameter(f"{value!r}: expected MAJOR.MINOR, such as 0.31", param=option)
    version = tuple(int(part) for part in value.removeprefix("v").split("."))
    if version < render.OLDEST:
        oldest = ".".join(map(str, render.OLDEST))
        raise click.BadParameter(f"{value!r}: what HolmesGPT before {oldest} takes is unknown", param=option)
    return version


where_options = options(
    click.option("--config", metavar="FILE", envvar="CONFIG_FILE", help="The service's config.yaml."),
    cluster_options,
    click.option(
        "--from",
        "manifests",
        metavar="FILE|DIR|-",
        envvar="DYNAMIC_TOOLSET_FROM",
        help="Read Services from manifests instead of a cluster; they are then unproven.",
    ),
    click.option(
        "--no-probe",
        is_flag=True,
        envvar="DYNAMIC_TOOLSET_NO_PROBE",
        help="Ask no Service what it is: all unproven.",
    ),
    log_options,
    click.option(
        "--holmesgpt-version",
        metavar="VERSION",
        envvar="HOLMESGPT_VERSION",
        default="",
        callback=_version,
        help="HolmesGPT's version, if it is an old one: before 0.32 it takes one instance of a toolset.",
    ),
    click.option(
        "--cluster-domain",
        envvar="CLUSTER_DOMAIN",
        default="cluster.local",
        show_default=True,
        help="The cluster's DNS domain, in which Services have their names.",
    ),
)


def _kubectl_proxy(_: click.Context, option: click.Parameter, value: str | None) -> KubectlProxy | None:
    """A click callback: where a kubectl proxy listens."""
    try:
        return KubectlProxy.from_url(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from error


via_option = click.option(
    "--via",
    metavar="URL",
    callback=_kubectl_proxy,
    help="From outside of the cluster: a running kubectl proxy, such as http://127.0.0.1:8001.",
)


def look(log_level: str | None, where: dict[str, Any]) -> Controller:
    """A controller that has looked once, and written nothing; ends the process if it saw nothing."""
    log.set_up(where.pop("log_format"), log_level or "warning")
    with progress_shown() as progress:
        counted = Metrics()
        controller = Controller(settings_of(counted, progress=progress, looks_only=True, **where), counted)
        load_config(controller)
        controller.look()
    fail_unless_seen(controller)
    return controller


def settings_of(
    metrics: Metrics,
    *,
    manifests: str | None,
    kubeconfig: str,
    context: str,
    no_probe: bool,
    publish: bool = False,
    follow: bool = False,
    **options: Any,
) -> Settings:
    """What the options ask for: to ``publish`` once, to ``follow``, or only to look."""
    for name in ("config", "base", "toolset_file"):
        options[name] = Path(options[name]) if options.get(name) else None
    wanted = Wanted(probe=not no_probe, namespace=os.environ.get("POD_NAMESPACE", ""), **options)
    if wanted.toolset_file and wanted.toolset_file.suffix not in {".yaml", ".yml"}:
        raise click.BadParameter(
            "HolmesGPT reads only files that end in .yaml or .yml", param_hint="--toolset-file"
        )
    if manifests is not None:
        return assembly.of_manifests(manifests, wanted)
    cluster = Cluster(kubeconfig, context)
    if not wanted.sidecar:
        _check_surroundings(cluster, wanted, in_pod=(publish or follow) and not kubeconfig)
    if follow:
        return assembly.to_follow(cluster, wanted, metrics)
    return assembly.at_once(cluster, wanted, metrics, publish=publish)


def _check_surroundings(cluster: Cluster, wanted: Wanted, *, in_pod: bool) -> None:
    try:
        _ = cluster.server
    except ClusterError as error:
        exit_config(str(error))
    if in_pod and not wanted.namespace and "KUBERNETES_SERVICE_HOST" in os.environ:
        exit_config("POD_NAMESPACE is not set: give it by the downward API (fieldRef: metadata.namespace)")


def load_config(controller: Controller, *, patient: bool = False) -> None:
    """Ends the process when the configuration is wrong; when it cannot be read, unless ``patient``."""
    try:
        controller.check_config()
    except WrongTextError as error:
        exit_config(str(error))
    except SourceError as error:
        if not patient:
            click.echo(f"Error: {printable(str(error), 1000)}", err=True)
            sys.exit(1)


def exit_config(message: str) -> Any:
    """Ends the process: the configuration is wrong, as these lines say."""
    for line in message.splitlines():
        click.echo(f"Error: {printable(line, 1000)}", err=True)
    sys.exit(EXIT_CONFIG)


def fail_unless_seen(controller: Controller) -> None:
    """Ends the process where nothing could be seen."""
    if controller.saw_services:
        return
    for failure in controller.report.failures:
        click.echo(f"Error: {printable(failure, 1000)}", err=True)
    sys.exit(1)


def rendering(controller: Controller) -> render.Settings:
    """What is rendered with."""
    return controller.settings.rendering(controller.config)


@contextmanager
def progress_shown() -> Iterator[Callable[[str], object]]:
    """Shows how far a pass is, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking for Services") as status:
        yield status.update
