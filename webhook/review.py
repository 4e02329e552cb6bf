"""AdmissionReview, admission.k8s.io/v1 (API reference: kube-apiserver Admission v1): read and answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from toolset.schema import flatten
from toolset.text import printable
from toolset.yaml_source import dotted
from webhook.inject import Injected
from webhook.request import Decision, Request

API_VERSION = "admission.k8s.io/v1"

MAX_BYTES = 7 * 1024 * 1024
"""Of a review: two objects of 3 MiB, the API server's own limit of a request, and room around them."""

MAX_MESSAGE = 2000
"""Characters of a denial that the API server passes on."""


class ReviewError(ValueError):
    """The body is no AdmissionReview; the message says why."""


class _Lenient(Schema):
    """A newer API server may say more than we know."""

    class Meta:
        """What is not known is not looked at."""

        unknown = EXCLUDE


class _Resource(_Lenient):
    resource = fields.String(required=True)


class _User(_Lenient):
    username = fields.String(load_default="")
    groups = fields.List(fields.String(), load_default=list, allow_none=True)


class _Object(fields.Field[Any]):
    """A Kubernetes object as it is; what is in it is the policy's to judge."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError("expected an object")
        return value


class _Request(_Lenient):
    uid = fields.String(required=True, validate=validate.Length(1, 200))
    operation = fields.String(
        required=True, validate=validate.OneOf(["CREATE", "UPDATE", "DELETE", "CONNECT"])
    )
    resource = fields.Nested(_Resource, required=True)
    user_info = fields.Nested(_User, required=True, data_key="userInfo")
    namespace = fields.String(load_default="", allow_none=True)
    name = fields.String(load_default="", allow_none=True)
    object = _Object(load_default=None, allow_none=True)
    old = _Object(load_default=None, allow_none=True, data_key="oldObject")

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> tuple[str, Request]:
        user = data["user_info"]
        return data["uid"], Request(
            operation=data["operation"],
            user=user["username"],
            groups=frozenset(user["groups"] or ()),
            namespace=data["namespace"] or "",
            name=data["name"] or "",
            resource=data["resource"]["resource"],
            object=data["object"],
            old=data["old"],
        )


class _Review(_Lenient):
    api_version = fields.String(
        required=True, data_key="apiVersion", validate=validate.Equal(API_VERSION, error="expected {other}")
    )
    request = fields.Nested(_Request, required=True)


_REVIEW = _Review()


def read(body: bytes) -> tuple[str, Request]:
    """The uid and the request of a review.

    Raises:
        ReviewError: it is none.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"not JSON: {printable(str(error))}") from error
    try:
        review: tuple[str, Request] = _REVIEW.load(data)["request"]
    except ValidationError as error:
        problems = [f"{dotted(path) or 'review'}: {message}" for path, message in flatten(error.messages)]
        raise ReviewError(printable("; ".join(problems), 500)) from error
    return review


def answer(uid: str, decision: Decision) -> bytes:
    """The review that answers, as JSON."""
    response: dict[str, Any] = {"uid": uid, "allowed": decision.allowed}
    if not decision.allowed:
        message = "\n".join(printable(line, MAX_MESSAGE) for line in decision.message.split("\n"))
        response["status"] = {"code": 403, "reason": "Forbidden", "message": message}
    if decision.warnings:
        response["warnings"] = [printable(warning, 250) for warning in decision.warnings]
    response["auditAnnotations"] = {"rule": decision.rule, **decision.audit}
    return _review(response)


def patched(uid: str, injected: Injected) -> bytes:
    """The review that answers with a patch, as JSON. It allows whatever comes: nobody's pod is refused."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if injected.warning:
        response["warnings"] = [printable(injected.warning, 250)]
    if injected.patch:
        patch = json.dumps(injected.patch).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    return _review(response)


def _review(response: Mapping[str, Any]) -> bytes:
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}).encode()
