"""Small Services, catalogues and discoveries, made by hand: each test says only what matters to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from toolset.backend import Backend
from toolset.catalogue import Catalogue, bundled, read_backend
from toolset.classify import Candidate, Endpoint, classify
from toolset.discovered import Discovered, Status
from toolset.service import ANNOTATION_PREFIX, Port, Service


def port(text: int | str) -> Port:
    """``9090``, or ``web:9090``, or ``web:9090:https`` with an appProtocol."""
    if isinstance(text, int):
        return Port(text)
    name, number, protocol, *_ = f"{text}:".split(":")
    return Port(int(number), name, protocol)


def service(
    name: str = "prometheus",
    namespace: str = "shop",
    *,
    ports: Sequence[int | str] = ("web:9090",),
    selector: Mapping[str, str] | None = None,
    **fields: Any,
) -> Service:
    """A Service with a selector that names nobody, unless the test says otherwise."""
    fields.setdefault("cluster_ip", "10.96.0.1")
    return Service(
        namespace,
        name,
        ports=tuple(map(port, ports)),
        selector={"pod": "some"} if selector is None else selector,
        **fields,
    )


def asking(toolset: str = "", **wishes: str) -> dict[str, str]:
    """Annotations: ``asking("enabled", health_path="/x")`` is ``…/toolset`` and ``…/toolset-health-path``."""
    given = {f"-{key.replace('_', '-')}": value for key, value in wishes.items()}
    return {ANNOTATION_PREFIX + suffix: value for suffix, value in ({"": toolset} | given).items() if value}


def custom_service(
    name: str = "tracker",
    namespace: str = "shop",
    *,
    kind: str = "",
    health_path: str = "/healthz",
    ports: Sequence[int | str] = ("http:8080",),
    **fields: Any,
) -> Service:
    """A Service of a type that the catalogue does not have, as its owner's annotations describe it."""
    wishes = asking(type=kind or name, health_path=health_path)
    return service(name, namespace, ports=ports, annotations=wishes, **fields)


def backend(name: str = "lamp", /, **sections: Any) -> Backend:
    """A backend of the catalogue, read from YAML as any other; sections replace those given here."""
    data = {
        "name": name,
        "title": name.title(),
        "description": f"what a {name} tells",
        "recognise": {"words": [name]},
        "endpoint": {"ports": ["web", 9090]},
        "proofs": [[{"get": "/about", "text": f"^{name}$"}]],
        "health": {"get": "/query?query=up"},
        "toolsets": [{"name": f"{name}/main", "many": "instances", "config": {"api_url": "$url"}}],
    }
    return read_backend(yaml.safe_dump(data | sections), f"{name}.yaml")


def catalogue(*backends: Backend) -> Catalogue:
    """A catalogue of these, and of the entry for custom types."""
    return Catalogue([*backends, bundled()["custom"]])


def candidate(of: Service, within: Mapping[str, Backend] | None = None) -> Candidate:
    """What the Service most likely is."""
    found = classify(of, within if isinstance(within, Catalogue) else bundled())
    assert found.candidates, found.ruled_out
    return found.candidates[0]


def discovered(
    of: Service,
    status: Status = Status.VERIFIED,
    *,
    within: Catalogue | None = None,
    verify_ssl: bool = True,
    endpoint: Endpoint | None = None,
) -> Discovered:
    """The Service as discovered, at its likeliest endpoint."""
    likeliest = candidate(of, within)
    return Discovered(likeliest, endpoint or likeliest.endpoints[0], status, verify_ssl)
