"""What of the command ``dynamic-toolset`` finds and publishes; ``process.cli`` puts it together."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import click

from process import log
from process.options import address, examples
from sidecar import changes, validation
from sidecar import credentials as secrets
from sidecar.controller import TICK_SECONDS, Controller
from sidecar.explain import UnknownServiceError
from sidecar.metrics import Metrics
from sidecar.options import (
    fail_unless_seen,
    load_config,
    look,
    progress_shown,
    rendering,
    settings_of,
    via_option,
    where_options,
)
from sidecar.output import FORMATS, as_table
from sidecar.sources import SourceError
from sidecar.trigger import SETTLE_SECONDS
from toolset.completing import complete, may_want_login, wants_login
from toolset.discovered import Discovery
from toolset.text import printable


@click.command(
    epilog=examples(
        "dynamic-toolset discover",
        "dynamic-toolset discover --context staging -o wide",
        "dynamic-toolset discover --watch",
        "dynamic-toolset discover -o json | jq -r '.services[] | select(.status != \"verified\") | .name'",
        "dynamic-toolset discover --via http://127.0.0.1:8001 -o holmes > custom_toolset.yaml",
        "kubectl get services -A -o yaml | dynamic-toolset discover --from - -o holmes > custom_toolset.yaml",
    )
)
@where_options
@click.option("--output", "-o", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@via_option
@click.option("--watch", "-w", is_flag=True, help="Go on, and print what comes, changes and goes.")
def discover(output: str, watch: bool, log_level: str | None, **where: Any) -> None:
    """Look once, and print what is there. Writes nothing.

    Exit code: 0 seen, 1 not seen, 78 the configuration is wrong.
    """
    if watch:
        if output not in changes.FORMATS:
            raise click.BadParameter(
                f"{output}: --watch prints {', '.join(changes.FORMATS)}; run keeps a file",
                param_hint="--output",
            )
        _watch(output, log_level, where)
        return
    controller = look(log_level, where)
    click.echo(FORMATS[output](controller.report.discovery, rendering(controller)), nl=False)


@click.command(
    "explain",
    epilog=examples(
        "dynamic-toolset explain monitoring/prometheus",
        "dynamic-toolset explain shop/orders-search --from manifests/ --no-probe",
    ),
)
@click.argument("service", metavar="NAMESPACE/NAME")
@where_options
@via_option
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
    controller = Controller(settings_of(counted, looks_only=True, **where), counted)
    load_config(controller)
    try:
        text = controller.explain(service)
    except (SourceError, UnknownServiceError) as error:
        click.echo(f"Error: {printable(str(error), 1000)}", err=True)
        sys.exit(1)
    click.echo(text, nl=False)


@click.command(
    epilog=examples(
        "dynamic-toolset credentials",
        "dynamic-toolset credentials shop/orders-search-es-http --holmesgpt-namespace holmesgpt",
        "dynamic-toolset credentials -o values > credentials-values.yaml",
        "kubectl get services -A -o yaml | dynamic-toolset credentials --from -",
    )
)
@click.argument("service", metavar="[NAMESPACE/NAME]", default="")
@where_options
@via_option
@click.option(
    "--holmesgpt-namespace",
    metavar="NAME",
    envvar="HOLMESGPT_NAMESPACE",
    default="holmesgpt",
    show_default=True,
    help="Where HolmesGPT runs: its pod reads Secrets of its own namespace only.",
)
@click.option("--output", "-o", type=click.Choice(list(secrets.FORMATS)), default="text", show_default=True)
def credentials(
    service: str, holmesgpt_namespace: str, output: str, log_level: str | None, **where: Any
) -> None:
    """Tell how to complete what asks for a login.

    For each Service, or the one that is named: where its Secret is, as its operator or chart makes it;
    the values that give HolmesGPT the variables; and the entries of config.yaml that bind them. Reads
    no Secret, and writes nothing.

    Exit code: 0 told, 1 not seen, or the one that is named asks for none, 78 the configuration is wrong.
    """
    controller = look(log_level, where)
    found = controller.report.discovery.discovered
    if service:
        asking = [it for it in found if it.service.key == service and may_want_login(it)]
    else:
        asking = [it for it in found if wants_login(it)]
    completions = complete(asking)
    if not completions:
        click.echo(printable(secrets.why_none(service), 1000), err=True)
        sys.exit(1 if service else 0)
    around = secrets.Surroundings(controller.config.credentials, holmesgpt_namespace)
    click.echo(secrets.FORMATS[output](completions, around), nl=False)


@click.command(
    epilog=examples(
        "dynamic-toolset run --toolset-file /etc/holmes/discovered/custom_toolset.yaml",
        "dynamic-toolset run --once --from manifests/ --toolset-file custom_toolset.yaml",
        "dynamic-toolset run --context staging --toolset-file custom_toolset.yaml --http 127.0.0.1:8080",
    )
)
@where_options
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
    help="Where the status page, the API, /health, /ready and /startz are served.",
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
        with progress_shown() as progress:
            settings = settings_of(counted, progress=progress, sidecar=sidecar, publish=True, **options)
            controller = Controller(settings, counted)
            load_config(controller)
            controller.look()
        _end_once(controller)
    controller = Controller(settings_of(counted, sidecar=sidecar, follow=True, **options), counted)
    if not sidecar:
        load_config(controller, patient=True)
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


def _watch(output: str, log_level: str | None, where: dict[str, Any]) -> None:
    """Prints events until Ctrl-C; the loop that finds them is the service's own, and writes nothing."""
    log.set_up(where.pop("log_format"), log_level or "warning")
    counted = Metrics()
    controller = Controller(
        settings_of(counted, follow=True, looks_only=True, config_maps=False, **where), counted
    )
    load_config(controller)
    loop = threading.Thread(target=controller.run, name="discovery loop", daemon=True)
    loop.start()
    shown = Discovery()
    try:
        while loop.is_alive():
            now = controller.report.discovery
            for event in changes.changes(shown, now):
                click.echo(changes.FORMATS[output](event, rendering(controller)), nl=False)
            shown = now
            loop.join(TICK_SECONDS)
    except KeyboardInterrupt:
        controller.stop()
        loop.join(SETTLE_SECONDS)


def _end_once(controller: Controller) -> None:
    fail_unless_seen(controller)
    click.echo(as_table(controller.report.discovery, rendering(controller)), nl=False)
    failures = controller.report.failures
    for failure in failures:
        click.echo(f"Error: {printable(failure, 1000)}", err=True)
    path = controller.settings.targets.toolset_file
    if path and not failures:
        click.echo(f"\nHolmesGPT's file: {path} (CUSTOM_TOOLSET_LOCATION={path.absolute()})")
    sys.exit(1 if failures else 0)
