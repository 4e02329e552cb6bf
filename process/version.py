"""``dynamic-toolset version``: what is running here, for people and for reports of bugs."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click
import yaml

from process.options import examples
from toolset import __version__

COMMIT = "DYNAMIC_TOOLSET_COMMIT"
"""The environment variable in which an image says what it was built from."""

HOLMESGPT = "0.45.0"
"""The HolmesGPT that the contract tests hold this release to."""

LIBRARIES = ("aiohttp", "flask", "gunicorn", "kubernetes", "urllib3")
"""Those whose version matters when something goes wrong between here and somebody else."""


def build() -> dict[str, str]:
    """What this is: the release, the commit where the image knows it, and what it runs on."""
    return {
        "version": __version__,
        "commit": os.environ.get(COMMIT) or "unknown",
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
        "holmesgpt": HOLMESGPT,
        **{name: _installed(name) for name in LIBRARIES},
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _as_table(data: dict[str, str]) -> str:
    width = max(map(len, data))
    return "".join(f"{name:<{width}}  {value}\n" for name, value in data.items())


def _as_json(data: dict[str, str]) -> str:
    return json.dumps(data, indent=2) + "\n"


def _as_yaml(data: dict[str, str]) -> str:
    return str(yaml.safe_dump(data, sort_keys=False))


_FORMATS = {"table": _as_table, "json": _as_json, "yaml": _as_yaml}


@click.command("version", epilog=examples("dynamic-toolset version", "dynamic-toolset version -o json"))
@click.option("--output", "-o", type=click.Choice(list(_FORMATS)), default="table", show_default=True)
def command(output: str) -> None:
    """Tell what this is, for reports of bugs.

    Release, commit, Python, libraries, and the HolmesGPT that it was tested with.
    """
    click.echo(_FORMATS[output](build()), nl=False)
