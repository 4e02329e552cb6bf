"""The command ``dynamic-toolset diagnose``: walks the runbook's decision tree against a cluster."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from process import log
from process.options import cluster_options, examples, log_options
from sidecar import diagnosis
from sidecar.cluster import Cluster
from sidecar.connection import ClusterError
from sidecar.diagnosis import Finding, Site
from toolset.text import printable

MARKS = {True: "✓", False: "✗", None: "?"}


@click.command(
    epilog=examples(
        "dynamic-toolset diagnose",
        "dynamic-toolset diagnose -n observability --context production",
        "dynamic-toolset diagnose -o json | jq .scenario",
    )
)
@cluster_options
@click.option(
    "--namespace",
    "-n",
    envvar="POD_NAMESPACE",
    default="kubernaut-system",
    show_default=True,
    help="Where the service is installed.",
)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
@log_options
def diagnose(kubeconfig: str, context: str, namespace: str, output: str, **logging: Any) -> None:
    """Tell what is wrong with the service in a cluster.

    Walks the runbook's decision tree, names the scenario, and what is typed to cure it. Changes
    nothing. What the identity of the kubeconfig may not see is marked ?.

    Exit code: 0 nothing is wrong, 1 something is, 2 the cluster cannot be reached.
    """
    log.set_up(logging["log_format"], logging["log_level"] or "error")
    site = Site(Cluster(kubeconfig, context), namespace)
    try:
        site.cluster.json("GET", "/version")
    except ClusterError as error:
        click.echo(f"Error: {printable(str(error), 1000)}", err=True)
        sys.exit(2)
    findings = dict(diagnosis.walk(site))
    click.echo(as_json(findings) if output == "json" else as_text(findings))
    sys.exit(1 if any(it.good is False for it in findings.values()) else 0)


def as_text(findings: dict[str, Finding]) -> str:
    """A line each, and what is to be done about the first that is wrong: the others may come of it."""
    width = max(map(len, findings))
    lines = [
        f"{MARKS[it.good]} {name:{width}}  {printable(it.evidence, 500)}" for name, it in findings.items()
    ]
    wrong = next((it for it in findings.values() if it.good is False), None)
    if wrong is None:
        return "\n".join([*lines, "", "Nothing is wrong that can be seen from here."])
    lines += ["", f"This is {wrong.scenario} of docs/runbook.md. Try:", *(f"  {it}" for it in wrong.cure)]
    return "\n".join(lines)


def as_json(findings: dict[str, Finding]) -> str:
    """For machines; ``good`` is null where it could not be looked at, or does not apply."""
    steps = [
        {"step": name, "good": it.good, "evidence": it.evidence, "scenario": it.scenario, "cure": it.cure}
        for name, it in findings.items()
    ]
    wrong = next((it.scenario for it in findings.values() if it.good is False), None)
    return json.dumps({"scenario": wrong, "steps": steps}, indent=2, ensure_ascii=False)
