"""Helm, for what tests the charts: what a chart renders, as plain objects to look into."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.realparts import ROOT, part

CHART = ROOT / "helm/dynamic-toolset"
NAMESPACE = "kubernaut-system"


class HelmError(Exception):
    """Helm's own words."""


@dataclass(frozen=True)
class Rendered:
    """Objects of a rendered chart, in order."""

    objects: Sequence[dict[str, Any]]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Those of one kind."""
        return [obj for obj in self.objects if obj["kind"] == kind]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        """The only one of its kind, or of its kind and name."""
        found = [obj for obj in self.all(kind) if name in {"", obj["metadata"]["name"]}]
        assert len(found) == 1, f"{len(found)} of {kind} {name}: {self.names()}"
        return found[0]

    def names(self) -> list[str]:
        """Kind/name of each."""
        return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in self.objects]


def at(obj: Any, path: str) -> Any:
    """What is at ``spec.template.spec.containers.0.image``; None where there is nothing."""
    for step in path.split("."):
        if isinstance(obj, list):
            obj = obj[int(step)] if int(step) < len(obj) else None
        elif isinstance(obj, Mapping):
            obj = obj.get(step)
        else:
            return None
    return obj


class Helm:
    """The real Helm, with a home of its own: no repository, cache or plugin of who runs the tests."""

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self._env = {
            **os.environ,
            "HELM_CONFIG_HOME": str(home),
            "HELM_CACHE_HOME": str(home),
            "HELM_DATA_HOME": str(home),
            **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {}),
        }

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Runs Helm and gives what it printed.

        Raises:
            HelmError: it failed.
        """
        command = [str(part("helm") / "helm"), *arguments]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(
            command,
            input=json.dumps(values) if values is not None else None,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise HelmError(done.stderr)
        return done.stdout

    def render(
        self,
        values: Mapping[str, Any] | None = None,
        *options: str,
        chart: Path = CHART,
        release: str = "dynamic-toolset",
    ) -> Rendered:
        """What ``helm template`` makes of the chart in its own namespace.

        Raises:
            HelmError: the values, or the chart, are refused.
        """
        text = self.run("template", release, str(chart), "-n", NAMESPACE, *options, values=values)
        return Rendered([obj for obj in yaml.safe_load_all(text) if obj])

    def refusal(self, values: Mapping[str, Any], *options: str, chart: Path = CHART) -> str:
        """Why Helm does not render the chart with these values."""
        with pytest.raises(HelmError) as refused:
            self.render(values, *options, chart=chart)
        return re.sub(r"\s+", " ", str(refused.value))


def nested(path: str, value: Any) -> dict[str, Any]:
    """``{"a": {"b": value}}`` of ``a.b``."""
    for step in reversed(path.split(".")):
        value = {step: value}
    result: dict[str, Any] = value
    return result


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(tmp_path_factory.mktemp("helm"))
