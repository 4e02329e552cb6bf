"""What of the command ``dynamic-toolset`` finds and publishes; ``process.cli`` puts it together."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from process import log
from process.options import address, cluster_options, examples, log_options, options
from sidecar import assembly, changes, validation
from sidecar.assembly import Wanted
from sidecar.cluster import Cluster
from sidecar.connection import ClusterError
from sidecar.controller import TICK_SECONDS, Controller
from sidecar.explain import UnknownServiceError
from sidecar.metrics import Metrics
from sidecar.output import FORMATS, as_table
from sidecar.settings import Settings
from sidecar.sources import SourceError, WrongTextError
from sidecar.trigger import SETTLE_SECONDS
from toolset import render
from toolset.discovered import Discovery
from toolset.text import printable

EXIT_CONFIG = os.EX_CONFIG
"""78: the configuration is wrong, and starting again will not help (sysexits.h)."""

_where = options(
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
        "--cluster-domain",
        envvar="CLUSTER_DOMAIN",
        default="cluster.local",
        show_default=True,
        help="The cluster's DNS domain, in which Services have their names.",
    ),
)


@click.command(
    epilog=examples(
        "dynamic-toolset discover",
        "dynamic-toolset discover --context staging -o wide",
        "dynamic-toolset discover --watch",
        "dynamic-toolset discover -o json | jq -r '.services[] | select(.status != \"verified\") | .name'",
        "kubectl get services -A -o yaml | dynamic-toolset discover --from - -o holmes > custom_toolset.yaml",
    )
)
@_where
@click.option("--output", "-o", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@click.option("--watch", "-w", is_flag=True, help="Go on, and print what comes, changes and goes.")
def discover(output: str, watch: bool, log_level: str | None, **where: Any) -> None:
    """Look once, and print what is there. Writes nothing.

    Exit code: 0 seen, 1 not seen, 78 the configuration is wrong.
    """
    log.set_up(where.pop("log_format"), log_level or "warning")
    if watch:
        if output not in changes.FORMATS:
            raise click.BadParameter(
                f"{output}: --watch prints {', '.join(changes.FORMATS)}; run keeps a file",
                param_hint="--output",
            )
        _watch(output, where)
        return
    with _progress() as progress:
        counted = Metrics()
        controller = Controller(_settings(counted, progress=progress, looks_only=True, **where), counted)
        _load_config(controller)
        controller.look()
    _fail_unless_seen(controller)
    click.echo(FORMATS[output](controller.report.discovery, _rendering(controller)), nl=False)


@click.command(
    "explain",
    epilog=examples(
        "dynamic-toolset explain monitoring/prometheus",
        "dynamic-toolset explain shop/orders-search --from manifests/ --no-probe",
    ),
)
@click.argument("service", metavar="NAMESPACE/NAME")
@_where
def explain_command(service: str, log_level: str | None, **where: Any) -> None:
    """Tell of one Service every step, and why.

    What speaks for it, what it was asked, and what comes of it.

    Exit code: 0 told, 1 not seen, 78 the configuration is wrong.
    """
    log.set_up(where.pop("log_format"), log_level or "error")
    namespace, slash, name = service.partition("/")
    if not slash or not namespace or not name:
        raise click.BadParameter(f"{service!r}: expected NAMESPACE/NAME", param_hint="NAMESPACE/NAME")
    counted = Metrics()
    controller = Controller(_settings(counted, looks_only=True, **where), counted)
    _load_config(controller)
    try:
        text = controller.explain(service)
    except (SourceError, UnknownServiceError) as error:
        click.echo(f"Error: {printable(str(error), 1000)}", err=True)
        sys.exit(1)
    click.echo(text, nl=False)


@click.command(
    epilog=examples(
        "dynamic-toolset run --toolset-file /etc/holmes/discovered/custom_toolset.yaml",
        "dynamic-toolset run --once --from manifests/ --toolset-file custom_toolset.yaml",
        "dynamic-toolset run --context staging --toolset-file custom_toolset.yaml --http 127.0.0.1:8080",
    )
)
@_where
@click.option(
    "--toolset-file",
    metavar="FILE",
    envvar="DYNAMIC_TOOLSET_FILE",
    help="The file to write, that HolmesGPT reads.",
)
@click.option(
    "--base", metavar="FILE", envvar="DYNAMIC_TOOLSET_BASE", help="HolmesGPT's own toolset file; it wins."
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    envvar="DYNAMIC_TOOLSET_HTTP",
    default="0.0.0.0:8080",
    show_default=True,
    callback=address,
    help="Where /health, /ready and /startz are served.",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    envvar="DYNAMIC_TOOLSET_METRICS",
    default="0.0.0.0:9090",
    show_default=True,
    callback=address,
    help="Where /metrics is served.",
)
@click.option("--once", is_flag=True, envvar="DYNAMIC_TOOLSET_ONCE", help="One pass, a table, the end.")
@click.option(
    "--sidecar",
    is_flag=True,
    envvar="DYNAMIC_TOOLSET_SIDECAR",
    help="Beside HolmesGPT: never exit on an error, and let HolmesGPT start within 10 s.",
)
@click.option(
    "--config-maps/--no-config-maps",
    default=True,
    show_default=True,
    envvar="DYNAMIC_TOOLSET_CONFIG_MAPS",
    help="Write the generated ConfigMaps, where POD_NAMESPACE is set.",
)
@click.option(
    "--holmesgpt-namespace",
    metavar="NAME",
    envvar="HOLMESGPT_NAMESPACE",
    default="",
    help="Where HolmesGPT runs: the ConfigMap that holds everything is written there too.",
)
@click.option(
    "--holmesgpt-url",
    metavar="URL",
    envvar="HOLMESGPT_URL",
    default="",
    help="HolmesGPT's own address, to be told when its file changed.",
)
@click.option(
    "--deployment",
    metavar="NAME",
    envvar="DYNAMIC_TOOLSET_DEPLOYMENT",
    default="",
    help="The service's own Deployment: a change of its annotations prompts a pass.",
)
def run(http: str, metrics: str, once: bool, sidecar: bool, log_level: str | None, **options: Any) -> None:
    """Keep what HolmesGPT reads as it should be.

    That is the toolset file, and in a cluster the ConfigMaps.

    In a pod (POD_NAMESPACE set) the configuration and overrides are read from ConfigMaps of that
    namespace, and the generated ConfigMaps are written.
    """
    log.set_up(options.pop("log_format"), log_level or ("warning" if once else "info"))
    if http.rpartition(":")[2] == metrics.rpartition(":")[2]:
        raise click.BadParameter("needs another port than --http", param_hint="--metrics")
    counted = Metrics()
    if once:
        with _progress() as progress:
            settings = _settings(counted, progress=progress, sidecar=sidecar, publish=True, **options)
            controller = Controller(settings, counted)
            _load_config(controller)
            controller.look()
        _end_once(controller)
    controller = Controller(_settings(counted, sidecar=sidecar, follow=True, **options), counted)
    if not sidecar:
        _load_config(controller, patient=True)
    from sidecar.server import Server  # noqa: PLC0415 - gunicorn is not needed to look once

    Server(controller, counted, http, metrics).run()


@click.command(
    epilog=examples(
        "dynamic-toolset validate config.yaml",
        "dynamic-toolset validate overrides.yaml --kind overrides",
        "dynamic-toolset discover -o holmes | dynamic-toolset validate -",
    )
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--kind",
    type=click.Choice(list(validation.KINDS)),
    help="What the file is; told by its content where it is not given.",
)
def validate(file: str, kind: str | None) -> None:
    """Check what a person wrote, and tell all errors.

    FILE is a config.yaml, overrides.yaml or toolset file; - is standard input.

    Exit code: 0 valid, 1 not valid, 2 not readable.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: cannot be read: {error}") from error
    kind, problems = validation.validate(text, kind)
    for problem in problems:
        click.echo(printable(f"{file}: {problem}", 1000))
    if problems:
        click.echo(
            f"{file}: not a valid {kind}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", err=True
        )
        sys.exit(1)
    click.echo(f"{file}: a valid {kind}")


def _watch(output: str, where: dict[str, Any]) -> None:
    """Prints events until Ctrl-C; the loop that finds them is the service's own, and writes nothing."""
    counted = Metrics()
    controller = Controller(
        _settings(counted, follow=True, looks_only=True, config_maps=False, **where), counted
    )
    _load_config(controller)
    loop = threading.Thread(target=controller.run, name="discovery loop", daemon=True)
    loop.start()
    shown = Discovery()
    try:
        while loop.is_alive():
            now = controller.report.discovery
            for event in changes.changes(shown, now):
                click.echo(changes.FORMATS[output](event, _rendering(controller)), nl=False)
            shown = now
            loop.join(TICK_SECONDS)
    except KeyboardInterrupt:
        controller.stop()
        loop.join(SETTLE_SECONDS)


def _settings(
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
        _exit_config(str(error))
    if in_pod and not wanted.namespace and "KUBERNETES_SERVICE_HOST" in os.environ:
        _exit_config("POD_NAMESPACE is not set: give it by the downward API (fieldRef: metadata.namespace)")


def _load_config(controller: Controller, *, patient: bool = False) -> None:
    """Ends the process when the configuration is wrong; when it cannot be read, unless ``patient``."""
    try:
        controller.check_config()
    except WrongTextError as error:
        _exit_config(str(error))
    except SourceError as error:
        if not patient:
            click.echo(f"Error: {printable(str(error), 1000)}", err=True)
            sys.exit(1)


def _exit_config(message: str) -> Any:
    for line in message.splitlines():
        click.echo(f"Error: {printable(line, 1000)}", err=True)
    sys.exit(EXIT_CONFIG)


def _fail_unless_seen(controller: Controller) -> None:
    if controller.saw_services:
        return
    for failure in controller.report.failures:
        click.echo(f"Error: {printable(failure, 1000)}", err=True)
    sys.exit(1)


def _end_once(controller: Controller) -> None:
    _fail_unless_seen(controller)
    click.echo(as_table(controller.report.discovery, _rendering(controller)), nl=False)
    failures = controller.report.failures
    for failure in failures:
        click.echo(f"Error: {printable(failure, 1000)}", err=True)
    path = controller.settings.targets.toolset_file
    if path and not failures:
        click.echo(f"\nHolmesGPT's file: {path} (CUSTOM_TOOLSET_LOCATION={path.absolute()})")
    sys.exit(1 if failures else 0)


def _rendering(controller: Controller) -> render.Settings:
    return render.Settings(
        controller.settings.cluster_domain, frozenset(controller.config.trusted_namespaces)
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], object]]:
    """Shows how far a pass is, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking for Services") as status:
        yield status.update
