"""Who may write what: an admission request in, a decision out. No I/O, no clock, no Flask.

Three objects are judged: the generated ConfigMaps, which the service alone writes; the overrides, which
people write and which must be valid; everything else is nobody's business here and allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolset.names import GENERATED, OVERRIDES
from webhook import content
from webhook.request import Decision, JsonObject, Request, managed, mapping

CONTROLLERS = (
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    # Where the controllers share one identity (--use-service-account-credentials=false).
    "system:kube-controller-manager",
)
"""Kubernetes' own, without which nothing could be deleted (kubernetes/kubernetes: pkg/controller)."""

_VOLATILE = frozenset({"managedFields", "resourceVersion", "generation"})
"""Metadata that every write changes."""

_OWNERSHIP = frozenset({"finalizers", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"})

_VERBS = {"CREATE": "create", "UPDATE": "change", "DELETE": "delete"}


@dataclass(frozen=True)
class Policy:
    """What is allowed; users are named as the API server does (``system:serviceaccount:NAMESPACE:NAME``)."""

    writers: frozenset[str]
    """The service's own accounts."""
    namespace: str = ""
    """The service's own, where the overrides are read from; empty: nowhere."""
    trusted_users: frozenset[str] = frozenset()
    """Break-glass: people who may write what is generated, and hold it."""
    trusted_groups: frozenset[str] = frozenset()
    controllers: frozenset[str] = frozenset(CONTROLLERS)
    protect_delete: bool = False
    """Whether deleting what is generated is the service's alone, too."""
    enforce: bool = True
    """False: warn and count instead of denying."""

    def trusts(self, request: Request) -> bool:
        """Whether it comes from somebody who may break the glass."""
        return request.user in self.trusted_users or not self.trusted_groups.isdisjoint(request.groups)

    def enforced(self, decision: Decision) -> Decision:
        """The decision, or in audit mode a warning in its place."""
        if decision.allowed or self.enforce:
            return decision
        return Decision(True, decision.rule, decision.message, (f"would be denied: {decision.message}",))

    def needs_time(self, request: Request) -> bool:
        """Whether texts will be checked, which may take a second; all else takes a fraction of one."""
        if request.operation == "DELETE" or request.names.isdisjoint({GENERATED, OVERRIDES}):
            return False
        return OVERRIDES in request.names or request.user in self.writers or self.trusts(request)


def decide(request: Request, policy: Policy, allowed_env: frozenset[str] | None = None) -> Decision:
    """The decision about a request.

    ``allowed_env`` are the variables of HolmesGPT's that texts may name; None: any.
    """
    return policy.enforced(_judge(request, policy, allowed_env))


def _judge(request: Request, policy: Policy, allowed_env: frozenset[str] | None) -> Decision:
    if request.resource == "configmaps" and GENERATED in request.names:
        return _generated(request, policy, allowed_env)
    if request.resource == "configmaps" and OVERRIDES in request.names:
        return content.judge_overrides(request, policy.namespace, allowed_env)
    return Decision(True, "other")


def _generated(request: Request, policy: Policy, allowed_env: frozenset[str] | None) -> Decision:
    if request.operation == "DELETE":
        return _deletion(request, policy)
    if request.operation == "UPDATE" and _same(request.old, request.object):
        return Decision(True, "unchanged")
    return _written(request, policy, allowed_env)


def _written(request: Request, policy: Policy, allowed_env: frozenset[str] | None) -> Decision:
    if request.user in policy.writers:
        return content.judge_own(request, allowed_env)
    if policy.trusts(request):
        return content.judge_break_glass(request, allowed_env)
    if request.user in policy.controllers:
        return _by_controller(request)
    return Decision(False, "not-the-service", _instead(request, policy))


def _by_controller(request: Request) -> Decision:
    if request.operation == "UPDATE" and _same(request.old, request.object, besides=_OWNERSHIP):
        return Decision(True, "controller")
    message = f"{request.user} may change only finalizers and ownerReferences of {request.what}"
    return Decision(False, "controller", message)


def _deletion(request: Request, policy: Policy) -> Decision:
    if not policy.protect_delete:
        return Decision(True, "deletion")
    if request.user in policy.writers | policy.controllers:
        return Decision(True, "deletion")
    if policy.trusts(request):
        return content.break_glass(request)
    return Decision(False, "protected", _instead(request, policy))


def _same(old: JsonObject | None, new: JsonObject | None, besides: frozenset[str] = frozenset()) -> bool:
    """Whether an update changes nothing, apart from metadata fields of ``besides``.

    Who takes our field manager away changes something: the service would no longer own its fields.
    """
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return False
    return _essence(old, besides) == _essence(new, besides) and managed(old) <= managed(new)


def _essence(obj: JsonObject, besides: frozenset[str]) -> dict[str, Any]:
    metadata = {
        key: value
        for key, value in mapping(obj, "metadata").items()
        if key not in _VOLATILE and key not in besides and value not in ({}, [], None)
    }
    rest = {key: value for key, value in obj.items() if key != "metadata" and value not in ({}, None)}
    return {**rest, "metadata": metadata}


def _instead(request: Request, policy: Policy) -> str:
    """Names the user, the rule and the way to do it right."""
    verb = _VERBS.get(request.operation, request.operation)
    return (
        f"{request.user} may not {verb} {request.what}: only the service writes it, and it would put it "
        f"back. Put your wish into the ConfigMap {OVERRIDES} in {policy.namespace or 'its namespace'}, key "
        "overrides.yaml, which wins over what is generated; for example:\n"
        "toolsets:\n"
        "  grafana/dashboards: {enabled: false}"
    )
