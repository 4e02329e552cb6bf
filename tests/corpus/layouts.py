"""Further layouts, written short: see layouts.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolset.service import Service

_SHORT = {
    letter: f"app.kubernetes.io/{word}"
    for letter, word in {"n": "name", "i": "instance", "c": "component"}.items()
}
_CERTIFICATE = {"service.beta.openshift.io/serving-cert-secret-name": "tls"}


@dataclass(frozen=True)
class Layout:
    """The Services of one namespace, and what those are that have to be found: ``KIND SCHEME:PORTPATH``."""

    source: str
    services: tuple[Service, ...]
    expect: dict[str, str]
    unjudged: frozenset[str]


def load() -> list[Layout]:
    """All of them."""
    text = Path(__file__).with_name("layouts.yaml").read_text("utf-8")
    return [
        Layout(
            layout["from"],
            tuple(map(_service, layout["services"])),
            {item["name"]: item["is"] for item in layout["services"] if "is" in item},
            frozenset(item["name"] for item in layout["services"] if item.get("unjudged")),
        )
        for layout in yaml.safe_load(text)
    ]


def _service(item: dict[str, Any]) -> Service:
    selector = _labels(item.get("selector", {}))
    return Service.from_object(
        {
            "metadata": {
                "name": item["name"],
                "namespace": "here",
                "labels": _labels(item.get("labels", {})) or selector,
                "annotations": _CERTIFICATE if item.get("certificate") else {},
            },
            "spec": {
                "type": item.get("type", "ClusterIP"),
                "clusterIP": "None" if item.get("headless") else "10.0.0.1",
                "selector": selector,
                "ports": [_port(port) for port in item["ports"]],
            },
        }
    )


def _labels(short: dict[str, str]) -> dict[str, str]:
    return {_SHORT.get(key, key): value for key, value in short.items()}


def _port(text: str) -> dict[str, Any]:
    name, number = text.rsplit(":", 1)
    return {"name": name, "port": int(number)}
