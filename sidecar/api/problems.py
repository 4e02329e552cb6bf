"""Errors as problem details (RFC 9457): every one, also those that no view of ours ever sees."""

from __future__ import annotations

import json
import logging
import socket
from http import HTTPStatus
from typing import Any

import gunicorn.util
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from toolset.text import printable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

MAX_DETAIL = 2000


def answer_problems(app: Flask) -> None:
    """Lets the application answer every error so, those that are bugs too."""

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        status = error.code or 500
        response = Response(_text(status, error.description or ""), status, mimetype=MEDIA_TYPE)
        for name, value in error.get_headers(request.environ):
            if name.lower() not in {"content-type", "content-length"}:
                response.headers.add(name, value)
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        what = f"{request.method} {printable(request.path)}"
        log.error("%s failed by a bug, please report it", what, exc_info=error)
        detail = "a bug; the service's log says more"
        return Response(_text(500, detail), 500, mimetype=MEDIA_TYPE)


def _text(status: int, detail: str) -> str:
    title = HTTPStatus(status).phrase
    shown = printable(detail, MAX_DETAIL)
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": shown}) + "\n"


def _write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    body = _text(status_int, mesg or reason).encode()
    head = (
        f"HTTP/1.1 {status_int} {HTTPStatus(status_int).phrase}\r\nConnection: close\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    gunicorn.util.write_nonblock(sock, head.encode() + body)


def answer_for_gunicorn() -> None:
    """What is no HTTP, or too long, gunicorn answers by itself: it gives that one function to replace."""
    util: Any = gunicorn.util
    util.write_error = _write_error
