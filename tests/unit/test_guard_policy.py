"""Who may write what: the guard's policy, a pure function."""

from dataclasses import replace
from typing import Any

import pytest

from toolset.documents import MAX_BYTES
from toolset.names import FIELD_MANAGER, GENERATED, HOLD_UNTIL, OVERRIDES
from webhook.policy import CONTROLLERS, Policy, decide
from webhook.request import Request

OWN = "kubernaut-system"
WRITER = f"system:serviceaccount:{OWN}:kubernaut-service-discovery"
POLICY = Policy(
    frozenset({WRITER}), OWN, trusted_users=frozenset({"sre"}), trusted_groups=frozenset({"oncall"})
)
GOOD = {
    "custom_toolset.yaml": "toolsets: {a: {enabled: true}}",
    "toolset.json": '{"tools": []}',
    "services.yaml": "services: []",
}
TIME = "2026-11-24T18:00:00Z"


def config_map(name: str = GENERATED, data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or GOOD, **more}


def request(user: str = "alice", old: Any = None, new: Any = None, **fields: Any) -> Request:
    """An UPDATE from `old` to `new`; a CREATE where there is no `old`, a DELETE where there is no `new`."""
    operation = "UPDATE" if old and new else "CREATE" if new else "DELETE"
    given = {"operation": operation, "user": user, "namespace": "shop", **fields}
    return Request(object=new, old=old, name=(new or old)["metadata"]["name"], **given)


def overrides(text: Any, **more: Any) -> dict[str, Any]:
    return config_map(OVERRIDES, {"overrides.yaml": text}, **more)


@pytest.mark.parametrize("old", [None, config_map()])
def test_nobody_but_the_service_writes_what_is_generated(old: Any) -> None:
    decision = decide(request(old=old, new=config_map(data={"x": "y"})), POLICY)
    assert not decision.allowed
    assert decision.rule == "not-the-service"
    assert decision.message.startswith("alice may not ")
    assert f"shop/{GENERATED}" in decision.message
    assert f"ConfigMap {OVERRIDES} in {OWN}, key overrides.yaml" in decision.message


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": ["x/y"]}},
        {"metadata": {"ownerReferences": [{"uid": "1"}]}},
        {"metadata": {"whatever-comes-next": 1}},
        {"binaryData": {"x": "AA=="}},
        {"immutable": True},
        {"new-field": "x"},
    ],
)
def test_any_field_that_changes_is_a_change(change: dict[str, Any]) -> None:
    assert not decide(request(old=config_map(), new=config_map(**change)), POLICY).allowed
    assert not decide(request(old=config_map(**change), new=config_map()), POLICY).allowed


def test_an_update_that_changes_nothing_is_nobodys_offence() -> None:
    volatile = {"metadata": {"resourceVersion": "2", "managedFields": [{"manager": "me"}], "generation": 2}}
    assert decide(request(old=config_map(), new=config_map(**volatile)), POLICY).rule == "unchanged"
    assert decide(request(old=config_map(), new=config_map(metadata={"labels": {}})), POLICY).allowed


def test_taking_our_field_manager_away_is_a_change() -> None:
    ours = config_map(metadata={"managedFields": [{"manager": FIELD_MANAGER}]})
    assert not decide(request(old=ours, new=config_map()), POLICY).allowed
    assert decide(request(old=config_map(), new=ours), POLICY).allowed


def test_deletion_is_free_unless_it_is_protected() -> None:
    deletion = request(old=config_map())
    assert decide(deletion, POLICY).allowed
    protected = replace(POLICY, protect_delete=True)
    assert decide(deletion, protected).rule == "protected"
    for user in (WRITER, "sre", *CONTROLLERS):
        assert decide(replace(deletion, user=user), protected).allowed


def test_of_a_collection_the_objects_name_counts() -> None:
    protected = replace(POLICY, protect_delete=True)
    assert not decide(replace(request(old=config_map()), name=""), protected).allowed


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_controllers_change_finalizers_and_owners_and_nothing_else(controller: str) -> None:
    held = {
        "finalizers": ["foregroundDeletion"],
        "deletionTimestamp": TIME,
        "ownerReferences": [{"uid": "1"}],
    }
    release = request(controller, config_map(metadata=held), config_map())
    assert decide(release, POLICY).rule == "controller"
    for change in ({"data": {"x": "y"}}, {"metadata": {"labels": {"a": "b"}}}):
        assert not decide(request(controller, config_map(), config_map(**change)), POLICY).allowed
    assert not decide(request(controller, None, config_map()), POLICY).allowed


def test_the_service_writes_what_is_valid() -> None:
    assert decide(request(WRITER, None, config_map()), POLICY).rule == "service"
    assert decide(
        request(WRITER, config_map(data={"notes.txt": "x", **GOOD}), config_map()), POLICY
    ).rule == (
        "content"  # a key of somebody else's is not the service's to take away
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"custom_toolset.yaml": "toolsets: {a: {tools: [{command: id}]}}"}, "run commands"),
        ({"custom_toolset.yaml": "mcp_servers: {a: {config: {mode: stdio}}}"}, "run commands"),
        ({"custom_toolset.yaml": "toolsets: {a: {config: {api_key: abc}}}"}, "looks like a secret"),
        ({"custom_toolset.yaml": "toolsets: {a: {config: {x: '{{ env.OTHER }}'}}}"}, "allowed_env"),
        ({"custom_toolset.yaml": "toolsets: {a: {llm_instructions: '{% x %}'}}"}, "template"),
        ({"custom_toolset.yaml": "toolsets: ["}, "not YAML"),
        ({"custom_toolset.yaml": ""}, "expected a mapping"),
        ({"custom_toolset.yaml": 7}, "expected text"),
        ({"toolset.json": '{"tools": [{}]}'}, "Missing data"),
        ({"services.yaml": "services: 7"}, "Not a valid list"),
        ({"further.yaml": "x"}, "no key of the service's"),
        ({"toolset.json": "x" * MAX_BYTES}, "characters; allowed are"),
        ({"toolset.json": "[" * 200_000}, "too many to check"),
    ],
)
def test_a_stolen_token_gets_nothing_dangerous_in(data: dict[str, Any], reason: str) -> None:
    for old in (None, config_map()):
        decision = decide(
            request(WRITER, old, config_map(data={**GOOD, **data})), POLICY, frozenset({"MINE"})
        )
        assert not decision.allowed
        assert decision.rule == "content"
        assert reason in decision.message


def test_what_the_service_found_there_is_not_held_against_it() -> None:
    bad = {**GOOD, "toolset.json": "[]", "notes.txt": "x"}
    labelled = config_map(data=bad, metadata={"labels": {"a": "b"}})
    assert decide(request(WRITER, config_map(data=bad), labelled), POLICY).allowed


@pytest.mark.parametrize(
    "change",
    [{"immutable": True}, {"binaryData": {"x": ""}}, {"metadata": {"annotations": {HOLD_UNTIL: TIME}}}],
)
def test_the_service_locks_nothing_up(change: dict[str, Any]) -> None:
    assert not decide(request(WRITER, config_map(), config_map(**change)), POLICY).allowed
    held = config_map(metadata={"annotations": {HOLD_UNTIL: TIME}})
    assert not decide(request(WRITER, held, config_map()), POLICY).allowed


def test_trusted_people_break_the_glass_and_it_is_written_down() -> None:
    for who in (request("sre", config_map(), config_map(data={"custom_toolset.yaml": "["})),):
        decision = decide(who, POLICY)
        assert decision.rule == "break-glass"
        assert decision.audit == {"break-glass": f"UPDATE shop/{GENERATED} by sre"}
        assert any("not YAML" in warning for warning in decision.warnings)
        assert any(HOLD_UNTIL in warning for warning in decision.warnings)
    by_group = request("bob", config_map(), config_map(immutable=True), groups=frozenset({"oncall"}))
    assert decide(by_group, POLICY).rule == "break-glass"


def test_a_hold_that_is_no_time_is_told() -> None:
    held = config_map(metadata={"annotations": {HOLD_UNTIL: "tomorrow"}})
    decision = decide(request("sre", config_map(), held), POLICY)
    assert not decision.allowed
    assert "RFC 3339" in decision.message
    good = config_map(metadata={"annotations": {HOLD_UNTIL: TIME}})
    assert decide(request("sre", config_map(), good), POLICY).warnings == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("toolsets: [", "not YAML"),
        ("toolsets: {a: {nonsense: 1}}", "toolsets.a.nonsense: unknown key"),
        (
            "toolsets:\n  a:\n    config: {password: x}",
            "line 3: toolsets.a.config.password: looks like a secret",
        ),
        ("toolsets: {a: {tools: [{command: rm}]}}", "run commands"),
        ("toolsets: {a: {config: {x: '{{ env.OTHER }}'}}}", "OTHER"),
        ("a: &x 1\nb: *x", "aliases"),
        ("x" * 300_000, "characters; allowed are"),
        (7, "expected text"),
    ],
)
def test_overrides_that_would_not_be_used_are_refused(text: Any, reason: str) -> None:
    asked = request("alice", None, overrides(text), namespace=OWN)
    for user in ("alice", WRITER, "sre"):
        decision = decide(replace(asked, user=user), POLICY, frozenset({"MINE"}))
        assert not decision.allowed
        assert reason in decision.message


def test_valid_overrides_are_anybodys() -> None:
    text = "toolsets: {grafana/dashboards: {enabled: false}}"
    for old in (None, overrides("toolsets: {x: {}}")):
        decision = decide(request("alice", old, overrides(text), namespace=OWN), POLICY)
        assert (decision.allowed, decision.warnings) == (True, ())
    assert decide(request("alice", overrides(text), namespace=OWN), POLICY).allowed
    assert decide(
        request("alice", None, config_map(OVERRIDES, {"overrides.yaml": ""}), namespace=OWN), POLICY
    )


def test_broken_overrides_of_before_can_be_labelled_and_let_go() -> None:
    old, new = overrides("["), overrides("[", metadata={"labels": {"a": "b"}})
    assert decide(request("alice", old, new, namespace=OWN), POLICY).allowed


@pytest.mark.parametrize(
    ("entry", "warning"),
    [
        ("{config: {api_url: 'https://loki.example.com'}}", "talk to loki.example.com"),
        ("{config: {api_url: 'http://169.254.169.254/'}}", "talk to 169.254.169.254"),
        ("{config: {api_url: 'http://loki.shop.svc', password: '{{ env.MINE }}'}}", "plain http"),
        ("{config: {password: '{{ env.MINE }}', verify_ssl: false}}", "not verified"),
        ("{llm_instructions: 'be nice'}", "reach the LLM"),
    ],
)
def test_what_is_risky_and_legal_is_warned_of(entry: str, warning: str) -> None:
    asked = request("alice", None, overrides(f"toolsets: {{a: {entry}}}"), namespace=OWN)
    decision = decide(asked, POLICY, frozenset({"MINE"}))
    assert decision.allowed
    assert any("toolsets.a" in told and warning in told for told in decision.warnings)


def test_overrides_where_nobody_reads_them_are_told() -> None:
    decision = decide(request("alice", None, overrides("["), namespace="shop"), POLICY)
    assert decision.allowed
    assert f"read from {OWN}/{OVERRIDES}" in decision.warnings[0]


def test_keys_that_nobody_reads_are_told() -> None:
    obj = config_map(OVERRIDES, {"override.yaml": "x"})
    assert decide(request("alice", None, obj, namespace=OWN), POLICY).warnings


def test_in_audit_mode_a_denial_becomes_a_warning() -> None:
    decision = decide(request(new=config_map()), replace(POLICY, enforce=False))
    assert decision.allowed
    assert decision.warnings[0].startswith("would be denied: alice may not create")


def test_everything_else_is_nobodys_business() -> None:
    assert decide(request(new=config_map("other")), POLICY).rule == "other"
    assert decide(request(new=config_map(), resource="secrets"), POLICY).rule == "other"
