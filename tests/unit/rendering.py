"""Backends of several forms, what is discovered of them, and what is rendered."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.unit.builders import backend, catalogue, custom_service, discovered, service
from toolset import render
from toolset.discovered import Discovered, Status
from toolset.render import Settings
from toolset.service import Service

SETTINGS = Settings()
TRUSTED = Settings(trusted_namespaces=frozenset({"shop"}))

LAMP = backend("lamp")
BELL = backend(
    "bell",
    toolsets=[
        {
            "name": "bell/$id",
            "type": "http",
            "many": "separate",
            "instructions": "GET $url/rings below $path",
            "config": {"verify_ssl": "$verify_ssl", "endpoints": [{"hosts": ["$origin"]}]},
        }
    ],
)
HORN = backend("horn", toolsets=[{"name": "horn", "many": "clusters", "config": {"api_url": "$url"}}])
SLOW = backend(
    "slow",
    toolsets=[{"name": "slow/all", "many": "instances", "config": {"api_url": "$url"}, "check_seconds": 7}],
)
BACKENDS = catalogue(LAMP, BELL, HORN, SLOW)


def found(of: Service, status: Status = Status.VERIFIED, **fields: Any) -> Discovered:
    return discovered(of, status, within=BACKENDS, **fields)


def lamp(
    name: str = "lamp", namespace: str = "shop", status: Status = Status.VERIFIED, **fields: Any
) -> Discovered:
    return found(service(name, namespace, **fields), status)


def toolsets(*of: Discovered, settings: Settings = SETTINGS) -> dict[str, Any]:
    document: dict[str, Any] = render.toolset_document(of, settings)["toolsets"]
    return document


def text(*of: Discovered, settings: Settings = SETTINGS) -> str:
    return render.toolset_yaml(render.with_revision(render.toolset_document(of, settings), of))


def revision(*of: Discovered) -> str:
    [name] = re.findall(r"discovery/revision-[0-9a-f]{8}", text(*of))
    return str(name)


def a_cluster() -> list[Discovered]:
    """One of everything: several backends, namespaces, statuses."""
    names = ["lamp", "lamp-b", "bell", "bell-endpoint", "horn", "horn-b", "slow"]
    services = [service(name, namespace) for name in names for namespace in ("shop", "ops", "a")]
    statuses = itertools.cycle(Status)
    return [found(of, next(statuses)) for of in [*services, custom_service("tracker")]]


def values(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Every scalar of a YAML text that is no key."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    for inner in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from values(inner[1] if isinstance(inner, tuple) else inner)
