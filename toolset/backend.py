"""What one file of the catalogue says about one backend, as plain data.

:mod:`toolset.catalogue` reads it, :mod:`toolset.classify` recognises with it,
:mod:`toolset.proof` judges answers by it, :mod:`toolset.render` writes toolsets from it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jsonschema.protocols import Validator

PortRef = int | str
"""A Service port, by number or by name; ``*`` in a name stands for any text."""

Scheme = Literal["http", "https", "tcp", "tls"]
"""How an endpoint is spoken to; ``tcp`` and ``tls`` are for protocols other than HTTP."""


@dataclass(frozen=True)
class Recognition:
    """How a Service shows what it is, from the API server's word alone.

    ``words`` are the product's names: one of them, between word borders, in the Service's own name
    or in a label that names a workload, makes the Service a candidate. ``labels`` are marks that
    only this product's charts and operators leave; one whole set of them suffices.
    ``not_words`` and ``not_labels`` rule out what carries the name and is something else: such a word
    behind the product's, or as a component. ``not_beside`` rules out wherever it stands.
    ``port_signature`` are ports that suffice together where nothing says otherwise.
    ``not_lines`` rule out by what a manifest says of the pods.
    ``prefer`` are the parts of one installation by which a person would address it, the best first.
    """

    words: tuple[str, ...] = ()
    labels: tuple[Mapping[str, str], ...] = ()
    port_signature: tuple[PortRef, ...] = ()
    not_words: tuple[str, ...] = ()
    not_beside: tuple[str, ...] = ()
    not_labels: tuple[Mapping[str, str], ...] = ()
    not_lines: tuple[re.Pattern[str], ...] = ()
    prefer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hint:
    """What a line about the pods behind a Service tells of its endpoint (:mod:`toolset.workload`).

    ``line`` is searched in each; where it has a group ``path``, that (of a URL its path) is the prefix.
    ``scheme`` is what it speaks then. The hint counts only where some line holds ``requires``.
    """

    line: re.Pattern[str]
    requires: re.Pattern[str] | None = None
    scheme: Scheme | None = None


@dataclass(frozen=True)
class EndpointRule:
    """Where the backend's API is to be sought: ports and path prefixes, the likeliest first.

    ``port_paths`` holds, for ports whose API is never at the root, the prefixes to try instead.
    ``name_paths`` does the same for Services that a well-known installation calls so. ``secure`` are
    selectors of installations that serve TLS whatever their port is called; an empty value stands for
    a label that is not there.
    ``leak`` finds the prefix (its group ``path``) in what the product answers to a request outside of it.
    ``everywhere`` says that its API answers outside of its prefix too: then the address is the one that
    it calls its own, below which its pages and links are.
    ``hints`` are looked for where a manifest says more than the Service, the most reliable first.
    ``schemes`` are how the product can be spoken to, ``port_schemes`` how on ports that differ.
    """

    ports: tuple[PortRef, ...] = ()
    not_ports: tuple[PortRef, ...] = ()
    paths: tuple[str, ...] = ("",)
    port_paths: Mapping[PortRef, tuple[str, ...]] = field(default_factory=dict)
    name_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secure: tuple[Mapping[str, str], ...] = ()
    schemes: tuple[Scheme, ...] = ("http", "https")
    port_schemes: Mapping[PortRef, tuple[Scheme, ...]] = field(default_factory=dict)
    hints: tuple[Hint, ...] = ()
    leak: re.Pattern[str] | None = None
    everywhere: bool = False


@dataclass(frozen=True)
class Expectation:
    """What an answer must hold; every given part has to be met.

    ``headers`` maps a header's name to a pattern that at least one of its values holds.
    ``text`` is searched in the body; ``json`` is the JSON Schema (draft 2020-12) that the parsed body meets.
    ``receive`` is for protocols other than HTTP, and then alone: it is searched in the bytes that came.
    """

    status: tuple[int, ...] = (200,)
    headers: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    text: re.Pattern[str] | None = None
    json: Validator | None = None
    receive: re.Pattern[bytes] | None = None


@dataclass(frozen=True)
class Exchange:
    """A question, and the answer expected to it.

    Either a GET request below the candidate's path prefix (``at_root``: at the server's root), with
    ``accept`` as its Accept header where that matters. Or ``post``, the same with a JSON ``body``, for
    protocols that greet so; the answer's header ``session`` then names what is to be ended again. Or
    ``send``, bytes of another protocol (none at all where the server speaks first). ``once``: a server
    that counts such visits against its callers is asked a single time, ever. ``closed_is_login``: who closes
    the connection instead of answering wants a login first.
    """

    expect: Expectation
    get: str | None = None
    post: str | None = None
    body: str = ""
    session: str = ""
    accept: str = ""
    at_root: bool = False
    send: bytes | None = None
    once: bool = False
    closed_is_login: bool = False


@dataclass(frozen=True)
class ToolsetRule:
    """A HolmesGPT toolset that a proven endpoint becomes.

    ``many`` says how HolmesGPT takes several endpoints of the toolset: in a list under
    ``instances`` or ``clusters``, or as one toolset each (``separate``); ``key`` is the field of such a
    list's items that names the instance. ``check_seconds`` is how long HolmesGPT's own check waits,
    retries included, for one endpoint that never answers.
    """

    name: str
    config: Mapping[str, Any]
    many: Literal["instances", "clusters", "separate"]
    type: str = ""
    instructions: str = ""
    check_seconds: int = 10
    key: Literal["name", "id"] = "name"


@dataclass(frozen=True)
class KnownSecret:
    """A Secret in the Service's namespace that an operator or chart of the product makes.

    It is there for Services whose labels hold ``where`` (``*`` in a value stands for any text). Its
    ``secret`` name holds ``$instance``: the value of ``label``, of the Service or its selector, or else
    what the group ``instance`` of ``service`` finds in the Service's name. ``keys`` are where in it each
    need is; ``values`` are needs that are the same everywhere, and no secret. ``admin``: it is the
    administrator's. ``source`` says where all this is written.
    """

    maker: str
    where: Mapping[str, str]
    secret: str
    keys: Mapping[str, str]
    source: str
    label: str = ""
    service: re.Pattern[str] = re.compile("(?P<instance>.+)")
    values: Mapping[str, str] = field(default_factory=dict)
    admin: bool = False


@dataclass(frozen=True)
class Login:
    """How HolmesGPT logs in, once the operator has bound what it ``needs`` to a Service.

    ``config`` is added to the configuration of each toolset, ``auth`` to each endpoint of one of type
    http; in both ``$name`` stands for what was bound. ``toolsets`` stand in for the backend's own where
    there is nothing to be had without a login. ``secrets`` are where it may be kept already.
    ``alternatives`` are other ways, with other needs.
    """

    needs: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Any] = field(default_factory=dict)
    toolsets: tuple[ToolsetRule, ...] = ()
    secrets: tuple[KnownSecret, ...] = ()
    alternatives: tuple[Login, ...] = ()

    @property
    def ways(self) -> tuple[Login, ...]:
        """This one and its alternatives."""
        return (self, *self.alternatives)

    def that_needs(self, names: Collection[str]) -> Login | None:
        """The way that needs exactly these."""
        return next((way for way in self.ways if set(way.needs) == set(names)), None)


@dataclass(frozen=True)
class Backend:
    """One product that HolmesGPT can use.

    ``proofs`` are alternatives; each is a tuple of exchanges that must all succeed.
    ``refusals`` are answers by which the product shows itself and asks for credentials.
    ``health`` is the request that HolmesGPT itself uses as its check; it is never sent to an address
    that has not been proven. ``tenant`` is the header that says whose data is meant, where there are
    tenants.
    """

    name: str
    title: str
    description: str
    recognise: Recognition
    endpoint: EndpointRule
    proofs: tuple[tuple[Exchange, ...], ...]
    toolsets: tuple[ToolsetRule, ...]
    health: Exchange | None = None
    refusals: tuple[Exchange, ...] = ()
    trusted_only: bool = False
    login: bool = False
    credentials: Login | None = None
    tenant: str = ""
    priority: int = 0
