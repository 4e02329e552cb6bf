"""The annotations by which the owner of a Service speaks to us, read as hostile input.

Anyone who may create a Service writes these. None can name a credential, another host, or more than
a plain path; what is not understood is refused by name and leaves the Service out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolset.service import ANNOTATION_PREFIX, Service
from toolset.text import is_instance_name, is_url_path, printable

KNOWN = frozenset(
    ANNOTATION_PREFIX + suffix for suffix in ("", "-type", "-name", "-endpoint", "-health-path", "-tenant")
)

_SWITCHES = {"enabled": True, "true": True, "disabled": False, "false": False}
_TYPE = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
_TENANT = re.compile(r"[A-Za-z0-9!\-_.*'()]{1,150}")  # Grafana Loki: Manage tenant isolation
_SCHEMES = {"http": 80, "https": 443}


class AnnotationError(ValueError):
    """An annotation that is refused; the message names it, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where on its own Service an annotation says that the API is. Empty or 0: not said."""

    scheme: str = ""
    port: int = 0
    path: str = ""


ANYWHERE = Address()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the annotations of one Service ask for. ``enabled`` is None when they do not say."""

    enabled: bool | None = None
    type: str = ""
    name: str = ""
    address: Address = ANYWHERE
    health_path: str = ""
    tenant: str = ""


NO_WISHES = Wishes()


def read_wishes(service: Service, cluster_domain: str) -> Wishes:
    """The wishes of a Service's owner.

    Of a Service without a selector, whose addresses are somebody's choice, only the switch, the
    type and the name are heard: its path and port would aim our requests.

    Raises:
        AnnotationError: a value is not one of those allowed.
    """
    given = service.annotations
    unknown = sorted(key for key in given if key.startswith(ANNOTATION_PREFIX) and key not in KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise AnnotationError(f"annotation {printable(unknown[0], 80)!r} is not known; known are {known}")
    if not given:
        return NO_WISHES
    wishes = Wishes(enabled=_switch(given), type=_type(given), name=_name(given))
    if not service.selector:
        return wishes
    return Wishes(
        enabled=wishes.enabled,
        type=wishes.type,
        name=wishes.name,
        address=_address(given, service, cluster_domain),
        health_path=_health_path(given),
        tenant=_tenant(given),
    )


def _switch(given: Mapping[str, str]) -> bool | None:
    value = given.get(ANNOTATION_PREFIX)
    if value is None:
        return None
    if value.lower() not in _SWITCHES:
        raise _refused("", value, "enabled or disabled")
    return _SWITCHES[value.lower()]


def _type(given: Mapping[str, str]) -> str:
    value = given.get(ANNOTATION_PREFIX + "-type", "")
    if value and not _TYPE.fullmatch(value):
        raise _refused("-type", value, "a-z, 0-9 and - between them, at most 31 characters")
    return value


def _name(given: Mapping[str, str]) -> str:
    value = given.get(ANNOTATION_PREFIX + "-name", "")
    if value and not is_instance_name(value):
        raise _refused("-name", value, "letters, digits, . _ and -, at most 63 characters")
    return value


def _health_path(given: Mapping[str, str]) -> str:
    value = given.get(ANNOTATION_PREFIX + "-health-path", "")
    if value and not is_url_path(value):
        raise _refused("-health-path", value, "a plain path such as /healthz")
    return value


def _tenant(given: Mapping[str, str]) -> str:
    value = given.get(ANNOTATION_PREFIX + "-tenant", "")
    if value and not _TENANT.fullmatch(value):
        raise _refused("-tenant", value, "letters, digits and ! - _ . * ' ( ), at most 150 of them")
    return value


def _address(given: Mapping[str, str], service: Service, cluster_domain: str) -> Address:
    value = given.get(ANNOTATION_PREFIX + "-endpoint", "")
    if not value:
        return ANYWHERE
    own = service.host(cluster_domain)
    allowed = f"a URL of this Service, such as http://{own}:PORT/path, or a path"
    if value.startswith("/"):
        url, scheme, port = urlsplit(""), "", 0
        path = value
    else:
        try:
            url = urlsplit(value)
            scheme, path = url.scheme, url.path
            port = url.port or _SCHEMES.get(url.scheme, 0)
        except ValueError as error:
            raise _refused("-endpoint", value, allowed) from error
        names = {
            service.name,
            f"{service.name}.{service.namespace}",
            f"{service.name}.{service.namespace}.svc",
            own,
        }
        if scheme not in _SCHEMES or (url.hostname or "") not in names or "@" in url.netloc:
            raise _refused("-endpoint", value, allowed)
        if port not in {p.number for p in service.ports}:
            raise _refused("-endpoint", value, f"{allowed}; the Service has no port {port}")
    path = path.rstrip("/")
    if url.query or url.fragment or (path and not is_url_path(path)):
        raise _refused("-endpoint", value, allowed)
    return Address(scheme=scheme, port=port, path=path)


def _refused(suffix: str, value: str, allowed: str) -> AnnotationError:
    return AnnotationError(
        f"annotation {ANNOTATION_PREFIX}{suffix}={printable(value, 80)!r} is refused; allowed: {allowed}"
    )
