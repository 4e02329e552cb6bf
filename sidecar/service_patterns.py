"""ServicePattern resources: what the people of one namespace change about the catalogue, for it alone.

They mean what ``service_patterns`` in ``config.yaml`` means, but their authors are not the operator: a
type of their own reaches HolmesGPT from trusted namespaces only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.config import NEW_TYPE, PatternSchema
from toolset import patterns
from toolset.catalogue import Catalogue
from toolset.patterns import Pattern
from toolset.schema import flatten
from toolset.service import Service
from toolset.yaml_source import dotted

MAX_PER_NAMESPACE = 50
"""ServicePatterns of one namespace that are read; more would only make every Service of it slower."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """A ServicePattern, and why it is not used; empty when it is."""

    object: Object
    problem: str = ""


@dataclass(frozen=True)
class Catalogues:
    """The catalogue of each namespace: the operator's, changed by its own ServicePatterns."""

    default: Catalogue
    own: Mapping[str, Catalogue] = field(default_factory=dict)

    def of(self, service: Service) -> Catalogue:
        """The catalogue by which a Service is recognised.

        Of one without a selector the addresses are somebody's choice: that is the operator's alone, or a
        ServicePattern would aim requests for a path of its author's at an address of his choice.
        """
        return self.own.get(service.namespace, self.default) if service.selector else self.default


def judge(objects: Iterable[Object], catalogue: Catalogue) -> tuple[list[Judged], Catalogues]:
    """Which of the resources can be used, and the catalogues that they make."""
    judged: list[Judged] = []
    accepted: dict[str, dict[str, Pattern]] = {}
    for obj in sorted(objects, key=_key):
        own = accepted.setdefault(_key(obj)[0], {})
        problem, kind, pattern = _read(obj, catalogue)
        if not problem and kind in own:
            problem = f"another ServicePattern of this namespace is for type {kind}: one is used, by name"
        if not problem and len(own) >= MAX_PER_NAMESPACE:
            problem = f"this namespace has more than {MAX_PER_NAMESPACE} ServicePatterns"
        if not problem:
            own[kind] = pattern
        judged.append(Judged(obj, problem))
    catalogues = {
        namespace: patterns.apply(own, catalogue, trusted=False) for namespace, own in accepted.items() if own
    }
    return judged, Catalogues(catalogue, catalogues)


def _key(obj: Object) -> tuple[str, str]:
    metadata = obj.get("metadata") or {}
    return str(metadata.get("namespace")), str(metadata.get("name"))


def _read(obj: Object, catalogue: Catalogue) -> tuple[str, str, Pattern]:
    """Why it cannot be used, its type, and what it asks for."""
    spec = dict(obj.get("spec") or {})
    kind = str(spec.pop("type", ""))
    if "healthCheck" in spec:
        spec["health_check"] = spec.pop("healthCheck")
    schema = PatternSchema()
    problems = [f"spec.{dotted(path)}: {message}" for path, message in flatten(schema.validate(spec))]
    if kind not in catalogue and not (NEW_TYPE.fullmatch(kind) and "health_check" in spec):
        known = ", ".join(sorted(catalogue))
        problems.append(f"spec.type: {kind!r} is not known; known are {known}; a new one has a healthCheck")
    pattern = Pattern() if problems else schema.load(spec)
    return "; ".join(problems), kind, pattern
