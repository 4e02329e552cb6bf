"""One operation of the API, and how it is served: what it takes is checked, what it gives has an ETag."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import PathConverter

from toolset.schema import flatten
from toolset.yaml_source import dotted

JSON = "application/json"
YAML = "application/yaml"
"""RFC 9512."""

MAX_JSON = 64 * 1024

MAX_TEXT = 1024 * 1024
"""Of manifests, or of a file to check: what etcd takes of one object, and half a second to read."""


@dataclass(frozen=True)
class Operation:
    """``path`` is Flask's.

    The ``view`` is given the path's variables, the loaded ``query`` as ``query``, and the body as ``body``:
    loaded where ``body`` is a schema, a text where it is a sequence of media types.
    """

    method: str
    path: str
    view: Callable[..., Any]
    summary: str
    answer: type[Schema] | str
    """The schema of the JSON that it answers; or another media type, of a text."""
    query: type[Schema] | None = None
    body: type[Schema] | Sequence[str] | None = None
    status: int = 200
    fails: tuple[int, ...] = ()
    """Further statuses that it may fail with, besides those that all have."""

    @property
    def name(self) -> str:
        """Of the view, for metrics and the document."""
        return self.view.__name__

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it has an ETag."""
        return self.method == "GET"

    def serve(self, **variables: str) -> Response:
        """Answers the request that Flask is at."""
        given: dict[str, Any] = dict(variables)
        if self.query is not None:
            given["query"] = _query(self.query())
        elif request.args:
            raise BadRequest(f"{next(iter(request.args))}: this takes no query")
        if isinstance(self.body, type):
            given["body"] = _json(self.body())
        elif self.body is not None:
            given["body"] = _text(self.body)
        answer = self.view(**given)
        if isinstance(answer, Response):
            return answer
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False) + "\n"
        media_type = self.answer if isinstance(self.answer, str) else JSON
        response = Response(text, self.status, content_type=f"{media_type}; charset=utf-8")
        if media_type == JSON:
            response.content_type = JSON
        response.cache_control.no_cache = True
        response.cache_control.private = True
        if self.reads:
            response.add_etag()
            response.make_conditional(request)
        return response


class _ToolsetName(PathConverter):
    """Slashes are part of it; what can be done with toolsets is no name of one."""

    regex = "(?!(?:generate|validate)$)[^/].*?"


def mount(app: Flask, operations: Sequence[Operation]) -> None:
    """Lets the application serve them."""
    app.url_map.converters["toolset"] = _ToolsetName
    for operation in operations:
        app.add_url_rule(
            operation.path,
            endpoint=operation.name,
            view_func=operation.serve,
            methods=[operation.method],
            provide_automatic_options=False,
        )


def _query(schema: Schema) -> Any:
    for name in request.args:
        if len(request.args.getlist(name)) > 1:
            raise BadRequest(f"{name}: given more than once")
    return _load(schema, request.args.to_dict())


def _json(schema: Schema) -> Any:
    raw = _bytes(MAX_JSON)
    if not raw:
        return _load(schema, {})
    _check_media_type([JSON])
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from error
    if not isinstance(body, Mapping):
        raise BadRequest(f"the body: expected an object, found {type(body).__name__}")
    return _load(schema, body)


def _text(media_types: Sequence[str]) -> str:
    _check_media_type(media_types)
    try:
        return _bytes(MAX_TEXT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def _check_media_type(allowed: Sequence[str]) -> None:
    if request.mimetype not in allowed:
        found = f"{request.mimetype:.100}" or "none"
        raise UnsupportedMediaType(f"Content-Type: expected {' or '.join(allowed)}, found {found}")


def _bytes(limit: int) -> bytes:
    request.max_content_length = limit
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise RequestEntityTooLarge(f"the body: larger than {limit} bytes") from error


def _load(schema: Schema, data: Mapping[str, Any]) -> Any:
    try:
        return schema.load(data)
    except ValidationError as error:
        wrong = (f"{dotted(path)}: {message}" for path, message in flatten(error.messages))
        raise BadRequest("; ".join(wrong)) from error
