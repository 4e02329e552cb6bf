"""The OpenAPI document, made of the operations themselves: what is served is what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

import toolset
from sidecar.api.operations import JSON, Operation
from sidecar.api.problems import MEDIA_TYPE
from sidecar.api.schemas import ProblemDetails

_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")

_ALWAYS = {
    400: "The request is not what the API takes.",
    401: "No token, or none that the API server knows.",
    403: "Who bears the token may not do that, or the API is off.",
    414: "The path and the query are too long.",
    503: "The API server cannot be asked, or the service is busy: try again.",
}

_FURTHER = {
    404: "There is no such thing.",
    409: "One is under way.",
    413: "The body is too large.",
    415: "The body is of another type.",
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document; itself no part of it."""
    spec = APISpec(
        title="Dynamic toolsets for HolmesGPT",
        version=toolset.__version__,
        openapi_version="3.0.3",
        plugins=[MarshmallowPlugin(schema_name_resolver=_name_of)],
        info={"description": "What was discovered in a cluster, and what HolmesGPT gets of it."},
    )
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    for operation in operations:
        variables = _VARIABLE.findall(operation.path)
        path = _VARIABLE.sub(r"{\1}", operation.path)
        parameters: list[dict[str, Any]] = [
            {"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in variables
        ]
        if operation.query is not None:
            parameters.append({"in": "query", "schema": operation.query})
        described: dict[str, Any] = {
            "operationId": operation.name,
            "summary": operation.summary,
            "parameters": parameters,
            "responses": _responses(operation),
            "security": [{"token": []}, {}],
        }
        if operation.body is not None:
            described["requestBody"] = _body(operation.body)
        spec.path(path=path, operations={operation.method.lower(): described})
    return spec.to_dict()


def _name_of(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__


def _body(body: type[Schema] | Sequence[str]) -> dict[str, Any]:
    if isinstance(body, type):
        return {"content": {JSON: {"schema": body}}}
    return {"required": True, "content": {media_type: {"schema": {}} for media_type in body}}


def _responses(operation: Operation) -> dict[str, Any]:
    answer = operation.answer
    good = {answer: {"schema": {"type": "object"}}} if isinstance(answer, str) else {JSON: {"schema": answer}}
    statuses = {*_ALWAYS, *operation.fails, *((413, 415) if operation.body is not None else ())}
    responses: dict[str, Any] = {
        str(status): {
            "description": {**_ALWAYS, **_FURTHER}[status],
            "content": {MEDIA_TYPE: {"schema": ProblemDetails}},
        }
        for status in sorted(statuses)
    }
    responses[str(operation.status)] = {"description": operation.summary, "content": good}
    if operation.reads:
        responses["304"] = {"description": "Nothing changed since the ETag of If-None-Match."}
    return dict(sorted(responses.items()))
