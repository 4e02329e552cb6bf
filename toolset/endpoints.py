"""Where on a Service a backend's API may be: ports, schemes and path prefixes, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolset.annotations import Address
from toolset.backend import EndpointRule, PortRef, Scheme
from toolset.service import SERVING_CERTIFICATE, Port, Service
from toolset.text import is_url_path, printable

MAX_ENDPOINTS = 16
"""Endpoints tried per candidate: ports x schemes x prefixes, the likeliest first."""

GENERIC_PORTS: frozenset[PortRef] = frozenset({80, 443, 8080, 8443, "http", "https", "web", "api", "service"})
"""Ports that say nothing of the product behind them."""

_TLS_PORTS = frozenset({443, 8443, 9443, 6443})
_TLS = re.compile(r"https|tls|ssl", re.IGNORECASE)
_HTTP = re.compile(r"http", re.IGNORECASE)
_SECURE = frozenset({"https", "tls"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API may be: how to speak, to which port, below which path prefix."""

    scheme: Scheme
    port: int
    path: str = ""

    def url(self, host: str) -> str:
        """The base URL; a scheme's default port is spelled out, so that nobody needs to know it."""
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def matches(port: Port, ref: PortRef) -> bool:
    """Whether ``ref`` means ``port``: its number, its name, or what it declares to speak."""
    if isinstance(ref, int):
        return port.number == ref
    return ref in {port.name, port.app_protocol} or ("*" in ref and fnmatchcase(port.name, ref))


def describe(port: Port) -> str:
    """A port as people write it: with its name where it has one."""
    return f"{printable(port.name, 63)}:{port.number}" if port.name else str(port.number)


def expected(ports: Sequence[Port], rule: EndpointRule) -> Port | None:
    """The first port that is telling for the product, and may be its API."""
    possible = [port for port in ports if not any(matches(port, ref) for ref in rule.not_ports)]
    for ref in rule.ports:
        if ref in GENERIC_PORTS:
            continue
        for port in possible:
            if matches(port, ref) or port.target == str(ref):
                return port
    return None


def candidates(
    service: Service, rule: EndpointRule, address: Address, foreign: frozenset[int] = frozenset()
) -> tuple[Endpoint, ...]:
    """The endpoints to try, in order.

    ``foreign`` are ports where something speaks that a request of this kind would trouble; they are
    left out unless the rule names them.
    """
    ports = _ordered(service.ports, rule, foreign)
    if address.port:
        ports = [port for port in ports if port.number == address.port] or [Port(address.port)]
    said = _hinted(service.workload, rule)
    endpoints: dict[Endpoint, None] = {}
    for second_choice in (False, True):
        for port in ports:
            schemes = _schemes(port, rule, service)
            if address.scheme in schemes:
                schemes = tuple(scheme for scheme in schemes if scheme == address.scheme)
            for scheme in schemes[1:] if second_choice else schemes[:1]:
                for path in _paths(port, rule, address, service.name, said.path):
                    endpoints.setdefault(Endpoint(scheme, port.number, path))
    ordered = sorted(endpoints, key=lambda it: bool(said.scheme) and it.scheme != said.scheme)
    return tuple(ordered)[:MAX_ENDPOINTS]


@dataclass(frozen=True, slots=True)
class _Said:
    """What the pods' manifest tells; None is nothing."""

    path: str | None = None
    scheme: Scheme | None = None


def _hinted(lines: Sequence[str], rule: EndpointRule) -> _Said:
    path: str | None = None
    scheme: Scheme | None = None
    if not lines:
        return _Said()
    for hint in rule.hints:
        if hint.requires is not None and not any(map(hint.requires.search, lines)):
            continue
        for found in filter(None, map(hint.line.search, lines)):
            if path is None and "path" in hint.line.groupindex:
                path = _as_prefix(found["path"])
            scheme = scheme or hint.scheme
    return _Said(path, scheme)


def _as_prefix(text: str) -> str | None:
    """The prefix that a path or a URL has; None where it is neither."""
    if "://" in text:
        text = "/" + text.partition("://")[2].partition("/")[2]
    path = text.strip("\"' ").rstrip("/")
    return path if not path or is_url_path(path) else None


def _ordered(ports: Sequence[Port], rule: EndpointRule, foreign: frozenset[int]) -> list[Port]:
    possible = [port for port in ports if not any(matches(port, ref) for ref in rule.not_ports)]
    ordered: dict[Port, None] = {}
    for ref in rule.ports:
        for port in possible:
            if matches(port, ref) or port.target == str(ref):
                ordered.setdefault(port)
    for port in possible:
        if port.number not in foreign:
            ordered.setdefault(port)
    return list(ordered)


def _paths(port: Port, rule: EndpointRule, address: Address, name: str, said: str | None) -> tuple[str, ...]:
    if address.path or address.port:
        return (address.path,)
    if name in rule.name_paths and said is None:
        return rule.name_paths[name]
    own = next((paths for ref, paths in rule.port_paths.items() if matches(port, ref)), ())
    if said is None:
        return own or rule.paths
    return tuple(said + path for path in own) or tuple(dict.fromkeys((said, *rule.paths)))


def _probed(port: Port, line: str) -> bool:
    """Whether the kubelet is told to ask this port by TLS."""
    words = line.split(" ", 3)
    return words[:2] == ["probe", "HTTPS"] and words[2] in {port.target or str(port.number), port.name}


def _selected(selector: Mapping[str, str], mark: Mapping[str, str]) -> bool:
    return all(selector.get(key, "") == value for key, value in mark.items())


def _schemes(port: Port, rule: EndpointRule, service: Service) -> tuple[Scheme, ...]:
    """How a port is to be spoken to, the likelier first (Kubernetes: Service appProtocol, port names)."""
    said = port.app_protocol or port.name
    certified = not SERVING_CERTIFICATE.isdisjoint(service.annotations)
    secure = (
        bool(_TLS.search(said))
        or (port.number in _TLS_PORTS and not _HTTP.search(said))
        or (certified and not _HTTP.search(said))
        or any(_probed(port, line) for line in service.workload)
        or any(_selected(service.selector, mark) for mark in rule.secure)
    )
    schemes = next((known for ref, known in rule.port_schemes.items() if matches(port, ref)), rule.schemes)
    if not secure:
        return schemes
    return tuple(sorted(schemes, key=lambda scheme: scheme not in _SECURE))
