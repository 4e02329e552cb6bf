"""Renders what was discovered for HolmesGPT and for people: same input, same bytes, no clock.

The format is HolmesGPT's; what it accepts and refuses is written down, with the reasons, in
``docs/holmesgpt.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

import yaml

from toolset.backend import ToolsetRule
from toolset.discovered import USABLE, Discovered, Status
from toolset.endpoints import Endpoint
from toolset.text import why_unsafe
from toolset.via import HTTP, KubectlProxy

CHECK_BUDGET_SECONDS = 20
"""Time in which HolmesGPT checks all toolsets (HOLMES_TOOLSET_PREREQ_TIMEOUT_SECONDS)."""

MAX_TOOLSET_NAME = 56
"""With "_request" behind it, the longest tool name that LLM providers accept (64)."""

HEADER = """\
# Written by kubernaut-dynamic-toolsets; edits are overwritten.
# To change what is here: the ConfigMap kubernaut-toolset-overrides, key overrides.yaml.
"""

Document = dict[str, Any]


OLDEST = (0, 30)
"""HolmesGPT's oldest release whose toolsets were looked at."""

INSTANCES_SINCE = (0, 32)
"""HolmesGPT's first release that takes several instances of a toolset."""


@dataclass(frozen=True)
class Settings:
    """What rendering depends on besides the discovered Services."""

    cluster_domain: str = "cluster.local"
    trusted_namespaces: frozenset[str] = field(default_factory=frozenset)
    holmesgpt: tuple[int, ...] = ()
    """HolmesGPT's version, at least (MAJOR, MINOR); empty: a current one."""
    via: KubectlProxy | None = None
    """How HolmesGPT reaches Services; without one as pods of the cluster do."""

    @property
    def one_instance(self) -> bool:
        """Whether HolmesGPT takes one instance of a toolset only."""
        return bool(self.holmesgpt) and self.holmesgpt < INSTANCES_SINCE

    def place(self, found: Discovered) -> tuple[str, Endpoint]:
        """The host, and the endpoint there, by which HolmesGPT reaches the backend."""
        if self.via is None:
            return found.service.host(self.cluster_domain), found.endpoint
        return self.via.host, self.via.endpoint(found.service, found.endpoint)


def toolset_document(discovered: Iterable[Discovered], settings: Settings) -> Document:
    """HolmesGPT's toolsets, without the revision marker.

    Order decides which instance HolmesGPT offers first: trusted namespaces before others, then
    by namespace and name.
    """
    toolsets: Document = {}
    for name, members in _members(discovered, settings).items():
        entry = _entry(members, settings)
        if entry:
            toolsets[name] = entry
    return {"toolsets": toolsets}


def toolset_names(discovered: Iterable[Discovered], settings: Settings) -> Mapping[str, list[str]]:
    """The HolmesGPT toolsets that each discovered Service (``namespace/name``) is part of."""
    names: dict[str, list[str]] = {}
    for name, members in _members(discovered, settings).items():
        for found, _ in members:
            names.setdefault(found.service.key, []).append(name)
    return names


def _members(
    discovered: Iterable[Discovered], settings: Settings
) -> dict[str, list[tuple[Discovered, ToolsetRule]]]:
    """The instances of each toolset, by the toolset's name."""
    usable = [d for d in discovered if _is_usable(d, settings)]
    usable.sort(key=lambda d: (d.service.namespace not in settings.trusted_namespaces, d.service.key))
    groups: dict[str, list[tuple[Discovered, ToolsetRule]]] = {}
    for found in usable:
        for rule in found.toolsets:
            name = Template(rule.name).substitute(type=found.type, id=identifier(found))
            groups.setdefault(_short(name, found), []).append((found, rule))
    return {
        name: members[:1] if settings.one_instance and members[0][1].many == "instances" else members
        for name, members in sorted(groups.items())
    }


def with_revision(document: Mapping[str, Any], discovered: Iterable[Discovered] = ()) -> Document:
    """The document with a toolset whose name changes whenever anything does.

    HolmesGPT re-reads the file but swaps toolsets in only when a name or a status changed; and a file
    must never be empty. The marker has no tools, and HolmesGPT does not show it to the LLM.
    """
    health = sorted(d.service.key for d in discovered if d.status is Status.UNHEALTHY)
    state = json.dumps([document, health], sort_keys=True, separators=(",", ":"))
    revision = hashlib.sha256(state.encode()).hexdigest()[:8]
    toolsets = dict(document.get("toolsets") or {})
    toolsets[f"discovery/revision-{revision}"] = {
        "description": "Marks the revision of the discovered toolsets; offers no tools."
    }
    rest = {key: value for key, value in document.items() if key != "toolsets" and value}
    return {"toolsets": dict(sorted(toolsets.items())), **rest}


def toolset_yaml(document: Mapping[str, Any]) -> str:
    """``custom_toolset.yaml``: every text quoted, so that no reader takes it for something else."""
    return HEADER + _dump(_without_endpoint_lines(document))


def toolset_json(discovered: Iterable[Discovered], settings: Settings) -> str:
    """``toolset.json``: ``{"tools": […]}``, one tool a discovered Service."""
    discovered = sorted(discovered, key=lambda found: found.service.key)
    names = toolset_names(discovered, settings)
    tools = [
        {
            "name": found.service.name,
            "namespace": found.service.namespace,
            "uid": found.service.uid,
            "type": found.type,
            "description": f"{found.backend.title}: {found.backend.description}",
            "url": url_of(found, settings),
            "status": found.status.value,
            "verify_ssl": found.verify_ssl,
            "toolsets": names.get(found.service.key, []),
        }
        for found in discovered
    ]
    return json.dumps({"tools": tools}, indent=2) + "\n"


def services_yaml(discovered: Iterable[Discovered], settings: Settings) -> str:
    """``services.yaml``: for people; exactly one ``endpoint:`` line a Service (the runbook counts them)."""
    services = [
        {
            "name": found.service.name,
            "namespace": found.service.namespace,
            "type": found.type,
            "endpoint": url_of(found, settings),
            "status": found.status.value,
        }
        for found in sorted(discovered, key=lambda d: d.service.key)
    ]
    return _dump({"services": services})


def url_of(found: Discovered, settings: Settings) -> str:
    """The base URL by which pods of the cluster, or ``via`` others, reach the backend."""
    if not _within_reach(found, settings):
        return found.endpoint.url(found.service.host(settings.cluster_domain))
    host, endpoint = settings.place(found)
    return endpoint.url(host)


def identifier(found: Discovered) -> str:
    """``namespace__service``: a part of a toolset's name that no other Service can have.

    HolmesGPT makes tool names of toolset names, ``-`` and ``/`` become ``_``; Kubernetes names hold no
    ``_``, so two of them part namespace and name unless either holds ``--`` (see :func:`_short`).
    """
    return f"{found.service.namespace}__{found.service.name}"


def why_not_rendered(found: Discovered, settings: Settings) -> str:
    """Why a discovered Service is in no toolset of HolmesGPT's; empty when it is."""
    if found.status is Status.NEEDS_CREDENTIALS:
        return "it asks for a login, and no credentials are bound to it"
    if not _admitted(found, settings):
        return f"its texts reach the LLM, and {found.service.namespace} is not in trusted_namespaces"
    if not _within_reach(found, settings):
        return "only HTTP goes through the API server"
    return "" if found.toolsets else f"HolmesGPT has no toolset for {found.backend.title}: listed only"


def _is_usable(found: Discovered, settings: Settings) -> bool:
    return found.status in USABLE and _admitted(found, settings) and _within_reach(found, settings)


def _within_reach(found: Discovered, settings: Settings) -> bool:
    """Whether there is a way: only HTTP goes through the API server."""
    return settings.via is None or found.endpoint.scheme in HTTP


def _admitted(found: Discovered, settings: Settings) -> bool:
    return not found.backend.trusted_only or found.service.namespace in settings.trusted_namespaces


def _short(name: str, found: Discovered) -> str:
    """``name``, or where it is too long or ambiguous a shortened one that ends in a hash of the Service.

    Three underscores in a row occur in no unshortened name, so the two kinds never meet.
    """
    if "$" in name or "__" not in name:
        return name
    if len(name) <= MAX_TOOLSET_NAME and "--" not in name:
        return name
    suffix = "___" + hashlib.sha256(found.service.key.encode()).hexdigest()[:10]
    return name.replace("--", "-")[: MAX_TOOLSET_NAME - len(suffix)].rstrip("-_") + suffix


def _entry(members: Sequence[tuple[Discovered, ToolsetRule]], settings: Settings) -> Document:
    rule = members[0][1]
    kept = [found for found, _ in (members if rule.many == "separate" else _within_budget(members))]
    if not kept:
        return {}
    entry: Document = {"enabled": True}
    if rule.type:
        entry["type"] = rule.type
    description = _description(kept, rule)
    if description:
        entry["description"] = description
    if rule.many == "separate":
        values = _values(kept[0], settings)
        entry["config"] = _config(rule, kept[0], settings)
        if rule.instructions:
            entry["llm_instructions"] = Template(rule.instructions).substitute(values)
        return entry
    configs = [_config(rule, found, settings) for found in kept]
    if len(configs) == 1 and rule.many == "instances":
        entry["config"] = configs[0]
        return entry
    names = map(_instance_name, kept)
    entry["config"] = {
        rule.many: [{rule.key: name, **config} for name, config in zip(names, configs, strict=True)]
    }
    return entry


def _config(rule: ToolsetRule, found: Discovered, settings: Settings) -> Document:
    bound = {**_values(found, settings), **found.credentials}
    config: Document = _substitute(rule.config, bound)
    if config.get("verify_ssl") is True:  # HolmesGPT's own default
        del config["verify_ssl"]
    if tenant := found.tenant:
        config["additional_headers"] = {**config.get("additional_headers", {}), found.backend.tenant: tenant}
    login = found.login
    if found.status is not Status.CREDENTIALED or login is None or login.toolsets:
        return config
    if rule.type == "http":
        auth = _substitute(login.auth, bound)
        config["endpoints"] = [{**endpoint, "auth": auth} for endpoint in config["endpoints"]]
        return config
    return {**config, **_substitute(login.config, bound)}


def _within_budget(
    members: Sequence[tuple[Discovered, ToolsetRule]],
) -> list[tuple[Discovered, ToolsetRule]]:
    """Leaves out failing members that together could use up HolmesGPT's time for its checks.

    HolmesGPT checks the instances of one toolset one after another, and counts the whole toolset as
    failed when the time is up: a hanging sibling must not take the healthy ones down.
    """
    left = CHECK_BUDGET_SECONDS
    kept = []
    for found, rule in members:
        if found.status is Status.UNHEALTHY:
            left -= rule.check_seconds
            if left <= 0:
                continue
        kept.append((found, rule))
    return kept


def _description(kept: Sequence[Discovered], rule: ToolsetRule) -> str:
    """A sentence for the LLM: of our own words, and of names that Kubernetes has checked."""
    unproven = [found.service.key for found in kept if found.status is Status.UNPROVEN]
    first = kept[0]
    text = ""
    if rule.many == "separate":
        text = f"{first.backend.title} {first.service.key} - {first.backend.description}"
    elif unproven:
        text = f"{first.backend.title}: {first.backend.description}"
    if unproven:
        text += f" (unproven: {', '.join(unproven)})"
    return text


def _values(found: Discovered, settings: Settings) -> dict[str, Any]:
    host, endpoint = settings.place(found)
    values = {
        "url": endpoint.url(host),
        "origin": f"{endpoint.scheme}://{host}:{endpoint.port}",
        "path": endpoint.path,
        "address": f"{host}:{endpoint.port}",
        "verify_ssl": found.verify_ssl,
        "health": found.candidate.wishes.health_path or (found.backend.health and found.backend.health.get),
        "type": found.type,
    }
    for name, value in values.items():
        if isinstance(value, str) and (reason := why_unsafe(value)):
            raise ValueError(f"{found.service.key}: {name} {reason}")
    return values


def _substitute(value: Any, values: Mapping[str, Any]) -> Any:
    """``value`` with ``$name`` replaced in every text; a text that is one name alone keeps its type."""
    if isinstance(value, Mapping):
        return {key: _substitute(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_substitute(inner, values) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("$") and value[1:] in values:
        return values[value[1:]]
    return Template(value).substitute(values)


def _instance_name(found: Discovered) -> str:
    """``namespace/name``, with the name that an annotation gives behind it.

    Telling, and whatever other Services are called or ask for, this one keeps it.
    """
    wish = found.candidate.wishes.name
    return f"{found.service.key}/{wish}" if wish else found.service.key


class _Quoted(str):
    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key, as people write them."""
        del indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        """Anchors would be refused on reading."""
        del data
        return True


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def _dump(document: Any) -> str:
    return yaml.dump(
        _quote(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
        default_flow_style=False,
    )


def _quote(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _quote(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_quote(inner) for inner in value]
    return _Quoted(value) if isinstance(value, str) else value


def _without_endpoint_lines(value: Any) -> Any:
    """Quotes keys that end in "endpoint": only services.yaml may hold lines with ``endpoint:``."""
    if isinstance(value, Mapping):
        return {
            _Quoted(key) if key.endswith("endpoint") else key: _without_endpoint_lines(inner)
            for key, inner in value.items()
        }
    return [_without_endpoint_lines(inner) for inner in value] if isinstance(value, list) else value
