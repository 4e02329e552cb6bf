"""Every way round the guard, on the real API server: as a webhook, as a policy, and as both."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.guard import CONTENT, MODES, WRITER, Actor, Answer, Guarded, generated, guarded
from tests.home import CONFIG_MAP
from tests.realparts import running_control_plane

ACTORS = ("stranger", "namesake", "masters")
CHANGED = {**CONTENT, "custom_toolset.yaml": 'toolsets:\n  "evil":\n    description: "mine"\n'}

Way = Callable[[Actor, str, dict[str, Any]], Answer]


@pytest.fixture(scope="module", params=MODES)
def guard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp(f"guard-{request.param}")
    with running_control_plane(directory / "plane") as plane:
        yield from guarded(plane, directory, request.param)


@pytest.fixture(scope="module")
def shop(guard: Guarded) -> str:
    """A namespace whose generated ConfigMap no test may change."""
    return guard.namespace("shop")


def patch(kind: str, change: Any, *flags: str) -> Way:
    def way(actor: Actor, namespace: str, _: dict[str, Any]) -> Answer:
        body = change if isinstance(change, str) else json.dumps(change)
        return actor("patch", "configmap", CONFIG_MAP, "-n", namespace, f"--type={kind}", "-p", body, *flags)

    return way


def kubectl(*arguments: str) -> Way:
    return lambda actor, namespace, _: actor(*arguments, "-n", namespace)


def with_object(change: dict[str, Any], *arguments: str) -> Way:
    """kubectl is given the object that is there, changed at its top or in its metadata."""

    def way(actor: Actor, namespace: str, obj: dict[str, Any]) -> Answer:
        metadata = {**obj["metadata"], **change.get("metadata", {})}
        if "--server-side" in arguments:
            metadata.pop("managedFields", None)
        return actor(*arguments, "-f", "-", input={**obj, **change, "metadata": metadata})

    return way


def edit(actor: Actor, namespace: str, _: dict[str, Any]) -> Answer:
    editor = "sed -i s/none/mine/"
    return actor("edit", "configmap", CONFIG_MAP, "-n", namespace, editor=editor)


def old_client(content_type: str) -> Way:
    """A bare PUT, without field manager, as clients did before there was such a thing."""

    def way(actor: Actor, namespace: str, obj: dict[str, Any]) -> Answer:
        body = {**obj, "data": CHANGED}
        text = json.dumps(body) if content_type.endswith("json") else yaml.safe_dump(body)
        path = f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG_MAP}"
        answer = actor.http("PUT", path, text.encode(), content_type)
        return Answer(answer.ok, "", answer.text)

    return way


LABELS = ("label", "configmap", CONFIG_MAP)
NOTE = ("annotate", "configmap", CONFIG_MAP)
APPLY = ("apply", "--server-side", "--field-manager=me")

CHANGES: dict[str, Way] = {
    "json patch": patch("json", [{"op": "replace", "path": "/data/toolset.json", "value": "x"}]),
    "json patch that moves": patch(
        "json", [{"op": "move", "from": "/data/toolset.json", "path": "/data/other.json"}]
    ),
    "merge patch": patch("merge", {"data": {"custom_toolset.yaml": "x"}}),
    "merge patch that removes all data": patch("merge", {"data": None}),
    "strategic patch": patch("strategic", {"data": {"custom_toolset.yaml": "x"}}),
    "patch of another key": patch("merge", {"data": {"mine.txt": "x"}}),
    "patch that says to be the service": patch(
        "merge", {"data": {"mine.txt": "x"}}, "--field-manager=kubernaut-dynamic-toolsets"
    ),
    "patch, dry run": patch("merge", {"data": {"mine.txt": "x"}}, "--dry-run=server"),
    "binary data": patch("merge", {"binaryData": {"x": "AAAA"}}),
    "immutable": patch("merge", {"immutable": True}),
    "finalizers": patch("merge", {"metadata": {"finalizers": ["example.com/stuck"]}}),
    "owner references": patch(
        "merge",
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}]}},
    ),
    "managed fields taken away": patch("merge", {"metadata": {"managedFields": [{}]}}),
    "hold": patch(
        "merge", {"metadata": {"annotations": {"kubernaut.io/hold-until": "2099-01-01T00:00:00Z"}}}
    ),
    "adopt": kubectl(*NOTE, "kubernaut.io/adopt=true"),
    "label": kubectl(*LABELS, "team=mine"),
    "label changed": kubectl(*LABELS, "--overwrite", "app.kubernetes.io/name=mine"),
    "label taken away": kubectl(*LABELS, "app.kubernetes.io/name-"),
    "annotation": kubectl(*NOTE, "note=mine"),
    "client-side apply": with_object({"data": CHANGED}, "apply"),
    "client-side apply, forced": with_object({"data": CHANGED}, "apply", "--overwrite"),
    "server-side apply": with_object({"data": {"mine.txt": "x"}}, *APPLY),
    "server-side apply that takes over": with_object({"data": CHANGED}, *APPLY, "--force-conflicts"),
    "server-side apply as the service": with_object(
        {"data": CHANGED}, "apply", "--server-side", "--field-manager=kubernaut-dynamic-toolsets"
    ),
    "replace": with_object({"data": CHANGED}, "replace"),
    "replace without its version": with_object(
        {"data": CHANGED, "metadata": {"resourceVersion": ""}}, "replace"
    ),
    "edit": edit,
    "bare PUT in JSON": old_client("application/json"),
    "bare PUT in YAML": old_client("application/yaml"),
    "a mebibyte": with_object({"data": {"big": "x" * (1024 * 1024 - 8192)}}, "replace"),
}


@pytest.mark.parametrize("who", ACTORS)
@pytest.mark.parametrize("way", CHANGES)
def test_nobody_but_the_service_changes_what_is_generated(
    guard: Guarded, shop: str, way: str, who: str
) -> None:
    before = guard.read(shop)
    answer = CHANGES[way](getattr(guard, who), shop, before)
    assert answer.denied, answer
    assert guard.read(shop) == before


@pytest.mark.parametrize("who", ACTORS)
@pytest.mark.parametrize(
    "arguments", [["create"], ["apply"], ["apply", "--server-side"], ["create", "--dry-run=server"]]
)
def test_nobody_but_the_service_creates_it(guard: Guarded, who: str, arguments: list[str]) -> None:
    for metadata in ({}, {"generateName": "kubernaut-toolset-"}):
        answer = getattr(guard, who)(*arguments, "-f", "-", input=generated("default", **metadata))
        assert answer.denied, answer
    assert not guard.read("default")


def test_the_refusal_names_the_user_and_the_cure(guard: Guarded, shop: str) -> None:
    told = guard.stranger("label", "configmap", CONFIG_MAP, "-n", shop, "team=mine").error
    assert f"{guard.stranger.user} may not change {shop}/{CONFIG_MAP}" in told
    assert "kubernaut-toolset-overrides in kubernaut-system, key overrides.yaml" in told
    assert "grafana/dashboards: {enabled: false}" in told


def test_a_generated_name_is_never_this_name(guard: Guarded) -> None:
    obj = generated("default", generateName="kubernaut-toolset-")
    del obj["metadata"]["name"]
    answer = guard.stranger("create", "-f", "-", "-o", "name", input=obj)
    assert answer.ok
    assert answer.out.strip() != f"configmap/{CONFIG_MAP}"
    guard.stranger("delete", "-n", "default", answer.out.strip())


def test_who_may_not_be_the_service_cannot_pretend_to_be(guard: Guarded, shop: str) -> None:
    before = guard.read(shop)
    answer = guard.stranger("label", "configmap", CONFIG_MAP, "-n", shop, "a=b", f"--as={WRITER}")
    assert not answer.ok
    assert "impersonate" in answer.error
    assert guard.read(shop) == before


@pytest.mark.parametrize("subresource", ["status", "scale", "x"])
def test_there_is_no_subresource_to_go_by(guard: Guarded, shop: str, subresource: str) -> None:
    before = guard.read(shop)
    path = f"/api/v1/namespaces/{shop}/configmaps/{CONFIG_MAP}/{subresource}"
    body = json.dumps({"data": {"mine.txt": "x"}}).encode()
    assert guard.masters.http("PATCH", path, body, "application/merge-patch+json").status_code in {404, 405}
    assert guard.read(shop) == before


def test_what_is_deleted_is_not_created_by_another(guard: Guarded) -> None:
    namespace = guard.namespace("renamed")
    assert guard.stranger("delete", "configmap", CONFIG_MAP, "-n", namespace).ok
    assert guard.stranger("create", "-f", "-", input=generated(namespace)).denied
    assert guard.write(generated(namespace)).ok


def test_replacing_it_by_itself_is_nobodys_offence(guard: Guarded, shop: str) -> None:
    before = guard.read(shop)
    for actor in (guard.stranger, guard.masters):
        got = actor("get", "configmap", CONFIG_MAP, "-n", shop, "-o", "yaml").out
        assert actor("replace", "-f", "-", input=got).ok
    same = ("label", "configmap", CONFIG_MAP, "-n", shop, "--overwrite", "app.kubernetes.io/name=kubernaut")
    assert guard.stranger(*same).ok
    after = guard.read(shop)
    assert (after["data"], after["metadata"]["labels"]) == (before["data"], before["metadata"]["labels"])


def test_the_service_writes(guard: Guarded) -> None:
    namespace = guard.namespace("written")
    changed = {**CONTENT, "custom_toolset.yaml": CONTENT["custom_toolset.yaml"].replace("none", "some")}
    assert guard.write(generated(namespace, changed)).ok
    assert guard.read(namespace)["data"] == changed
    assert guard.service("delete", "configmap", CONFIG_MAP, "-n", namespace).ok


@pytest.mark.parametrize(
    "change",
    [{"immutable": True}, {"metadata": {"annotations": {"kubernaut.io/hold-until": "2099-01-01T00:00:00Z"}}}],
    ids=["immutable", "hold"],
)
def test_the_service_locks_nothing_up(guard: Guarded, shop: str, change: dict[str, Any]) -> None:
    before = guard.read(shop)
    answer = patch("merge", change)(guard.service, shop, {})
    assert not answer.ok
    assert "hold-until" in answer.error or "immutable" in answer.error
    assert guard.read(shop) == before


def test_trusted_people_break_the_glass(guard: Guarded) -> None:
    namespace = guard.namespace("emergency")
    assert guard.trusted("annotate", "configmap", CONFIG_MAP, "-n", namespace, "kubernaut.io/hold-until=").ok
    hold = {"metadata": {"annotations": {"kubernaut.io/hold-until": "2099-01-01T00:00:00Z"}}}
    assert patch("merge", {**hold, "data": {"custom_toolset.yaml": "toolsets: {a: {enabled: false}}"}})(
        guard.trusted, namespace, {}
    ).ok
    # Who may not set it may not take it away either.
    assert guard.stranger(
        "annotate", "configmap", CONFIG_MAP, "-n", namespace, "kubernaut.io/hold-until-"
    ).denied


@pytest.mark.parametrize("who", ["stranger", "service"])
@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_deleting_it_ends(guard: Guarded, who: str, cascade: str) -> None:
    namespace = guard.namespace(f"delete-{who}-{cascade}")
    flags = (f"--cascade={cascade}", "--wait=true", "--timeout=60s")
    answer = getattr(guard, who)("delete", "configmap", CONFIG_MAP, "-n", namespace, *flags)
    assert answer.ok, answer
    assert not guard.read(namespace)


def test_a_collection_of_them_is_deleted(guard: Guarded) -> None:
    namespace = guard.namespace("collection")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert guard.stranger.http("DELETE", path, b"", "application/json").ok
    assert not guard.read(namespace)


def test_a_namespace_goes_with_it(guard: Guarded) -> None:
    namespace = guard.namespace("going")
    guard.plane.kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=90s")


def test_other_config_maps_are_nobodys_business(guard: Guarded) -> None:
    for name in ("kubernaut-toolset-configs", "xkubernaut-toolset-config", "other"):
        assert guard.stranger("create", "configmap", name, "-n", "default", "--from-literal=a=b").ok
        assert guard.stranger("label", "configmap", name, "-n", "default", "a=b").ok
        assert guard.stranger("delete", "configmap", name, "-n", "default").ok
