"""What the API takes and gives: these check what comes in, and the OpenAPI document is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from sidecar.validation import KINDS
from toolset.discovered import Status as ServiceStatus
from toolset.schema import Strict

LEFT_OUT = "left_out"
"""The status of a Service that something spoke for, and that is not listed for HolmesGPT."""

STATUSES = (*(status.value for status in ServiceStatus), LEFT_OUT)

MAX_PAGE = 1000

_LABEL = validate.Regexp(
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z", error="no name of a namespace (RFC 1123: a-z, 0-9 and -)"
)
_TYPE = validate.Regexp(r"^[a-z0-9][-a-z0-9_]{0,62}\Z", error="no name of a type, such as prometheus")
_KEY = validate.Regexp(r"^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}\Z", error="expected NAMESPACE/NAME")


def _text(description: str, **more: Any) -> fields.String:
    return fields.String(required=True, metadata={"description": description, **more})


def _number(description: str) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description})


def _flag(description: str, **more: Any) -> fields.Boolean:
    return fields.Boolean(required=True, metadata={"description": description}, **more)


def _texts(description: str) -> fields.List[Any]:
    return fields.List(fields.String(), required=True, metadata={"description": description})


def _many(schema: type[Schema], description: str) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, metadata={"description": description})


def _time(description: str, **more: Any) -> fields.DateTime:
    return fields.DateTime(required=True, metadata={"description": description}, **more)


class _Boolean(fields.Boolean):
    """As it is written in a query; marshmallow would take "yes" and "1" as well."""

    truthy = {"true"}  # noqa: RUF012 - as the base class has it
    falsy = {"false"}  # noqa: RUF012


class ToolsetsQuery(Strict):
    """Which toolsets."""

    enabled = _Boolean(metadata={"description": "Only those that are enabled, or are not."})
    healthy = _Boolean(metadata={"description": "Only those all of whose Services are healthy, or are not."})


class ServicesQuery(Strict):
    """Which Services, and which page of them."""

    namespace = fields.String(validate=_LABEL, metadata={"description": "Only those of this namespace."})
    type = fields.String(validate=_TYPE, metadata={"description": "Only those of this type of backend."})
    status = fields.String(
        validate=validate.OneOf(STATUSES), metadata={"description": "Only those of this status."}
    )
    limit = fields.Integer(
        load_default=100,
        validate=validate.Range(1, MAX_PAGE),
        metadata={"description": "How many at most."},
    )
    after = fields.String(
        validate=_KEY,
        metadata={"description": "Only those behind this one: the `next` of the page before."},
    )


class ValidateQuery(Strict):
    """What the text is."""

    kind = fields.String(
        validate=validate.OneOf(list(KINDS)),
        metadata={"description": "What the text is; told by its content where it is not given."},
    )


class DiscoverBody(Strict):
    """Whom to ask anew; all, where neither is given."""

    namespaces = fields.List(
        fields.String(validate=_LABEL), load_default=list, validate=validate.Length(max=1000)
    )
    types = fields.List(fields.String(validate=_TYPE), load_default=list, validate=validate.Length(max=1000))

    @post_load
    def frozen(self, data: Mapping[str, list[str]], **_: Any) -> dict[str, frozenset[str]]:
        """As sets."""
        return {name: frozenset(values) for name, values in data.items()}


class Service(Schema):
    """A Service that something spoke for."""

    namespace = _text("Its namespace.")
    name = _text("Its name.")
    type = _text("The type of backend, such as prometheus; empty where it is left out.")
    title = _text("What people call that, such as Prometheus.")
    url = _text("Where pods of the cluster reach it; empty where it is left out.")
    status = fields.String(
        required=True,
        validate=validate.OneOf(STATUSES),
        metadata={"description": "What is known of it; left_out: it is not listed for HolmesGPT."},
    )
    since = _time("Since when this process sees it so; null where that is not known.", allow_none=True)
    toolsets = _texts("The toolsets of HolmesGPT that it is part of.")
    evidence = _texts("Why it is taken for that, and what it answered; or why it is left out.")
    advice = _text("What a person has to do to complete it; empty where nothing.")


class Services(Schema):
    """A page of Services, sorted by namespace and name."""

    items = _many(Service, "The page.")
    total = _number("How many there are on all pages.")
    next = _text("What to give as `after` to get the next page; empty on the last.")


class Explanation(Schema):
    """Every step from what a Service says to what HolmesGPT gets of it. It is asked anew for this."""

    service = fields.Nested(
        Service,
        required=True,
        allow_none=True,
        metadata={"description": "As it is listed; null where nothing speaks for it."},
    )
    explanation = _text("The steps, in lines.")


class Instance(Schema):
    """A Service within a toolset."""

    namespace = _text("Its namespace.")
    name = _text("Its name.")
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))


class Toolset(Schema):
    """A toolset of HolmesGPT's, as it is generated, with people's overrides over it."""

    name = _text("Its name; slashes are part of it.")
    enabled = _flag("Whether HolmesGPT uses it.")
    healthy = _flag("Whether all its Services answer; so is one without any.")
    services = _many(Instance, "The Services that it is made of; none where people wrote it.")


class Toolsets(Schema):
    """The toolsets, sorted by name."""

    items = _many(Toolset, "All that fit the query.")


class ToolsetDetail(Toolset):
    """A toolset, and what HolmesGPT reads of it."""

    yaml = _text("The toolset as it stands in HolmesGPT's file.")


class Watched(Schema):
    """What is watched."""

    name = _text("What.")
    state = _text("`watching`, or what is amiss.")


class Pass(Schema):
    """What became of one pass, or of several in a row that failed for the same reason."""

    ended = _time("When; of several that of the last.")
    seconds = fields.Float(required=True, metadata={"description": "How long it took."})
    discovered = _number("Services that are listed for HolmesGPT.")
    left_out = _number("Services that are not, though something spoke for them.")
    unanswered = _number("Services that had not answered yet when it ended.")
    failures = _texts("What could not be seen or written.")
    times = _number("How many passes this stands for.")


class Status(Schema):
    """How things are."""

    version = _text("The service's version.")
    source = _text("Where it looks.")
    ready = _flag("Whether the toolsets are published and kept.")
    leads = _flag("Whether this process writes the ConfigMaps; null where none are written.", allow_none=True)
    leader = _text("The replica that writes the ConfigMaps, as far as is known.")
    network_down = _flag("Whether all backends fail at once, so that what is published is left as it is.")
    changed = _time("When anything about the Services changed last; null before.", allow_none=True)
    pass_under_way = _flag("Whether a pass that was asked for has not ended yet.")
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many Services there are of each status."},
    )
    failures = _texts("What the last pass could not do, and what could not be written since.")
    watches = _many(Watched, "What is watched.")
    passes = _many(Pass, "The last passes, the newest first.")


class Accepted(Schema):
    """A pass was asked for; `passes` of the status tells when it has ended."""

    status_url = _text("Where to look.")


class Generated(Schema):
    """What would become of the Services of manifests; nothing is asked, so all are unproven."""

    toolset = _text("HolmesGPT's file.")
    services = _many(Service, "What is recognised, and what is left out.")
    problems = _texts("What of the manifests could not be read.")


class Problem(Schema):
    """Something that is wrong in a text."""

    line = _number("Where, from 1; 0 when unknown.")
    path = _text("Where, as a dotted path.")
    message = _text("What, and what is allowed.")


class Validity(Schema):
    """Whether a text is valid."""

    kind = _text("What it is taken for.")
    valid = _flag("Whether nothing is wrong with it.")
    problems = _many(Problem, "Everything that is wrong.")


class ProblemDetails(Schema):
    """An error (RFC 9457)."""

    type = _text("about:blank: the status says it all.")
    title = _text("The status in words.")
    status = _number("The HTTP status.")
    detail = _text("What is wrong, and the cure.")
