"""What the guard can be told to do otherwise, on the real API server: protect deletion, warn only."""

from collections.abc import Iterator

import pytest

from tests.guard import MODES, Guarded, guarded
from tests.home import CONFIG_MAP
from tests.realparts import running_control_plane, until


@pytest.fixture(scope="module", params=MODES)
def guard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp(f"guard-{request.param}")
    with running_control_plane(directory / "plane") as plane:
        yield from guarded(plane, directory, request.param)


@pytest.fixture
def protected(guard: Guarded, namespace_name: str) -> Guarded:
    guard.start(protect_delete=True)
    namespace = guard.namespace(namespace_name)
    delete = ("delete", "configmap", CONFIG_MAP, "-n", namespace, "--dry-run=server")
    until(lambda: guard.stranger(*delete).denied, "deletion is protected")
    return guard


@pytest.fixture
def namespace_name(request: pytest.FixtureRequest) -> str:
    return request.node.originalname.removeprefix("test_").replace("_", "-")[:50].strip("-")


def test_nobody_but_the_service_deletes_it(protected: Guarded, namespace_name: str) -> None:
    named = ("delete", "configmap", CONFIG_MAP, "-n", namespace_name)
    for actor in (protected.stranger, protected.namesake, protected.masters):
        for cascade in ("background", "foreground", "orphan"):
            assert actor(*named, f"--cascade={cascade}", "--wait=false").denied
        collection = f"/api/v1/namespaces/{namespace_name}/configmaps"
        assert actor.http("DELETE", collection, b"", "application/json").status_code == 403
    assert protected.read(namespace_name)
    assert protected.service(*named, "--cascade=foreground", "--wait=true", "--timeout=60s").ok
    assert not protected.read(namespace_name)


def test_trusted_people_delete_it(protected: Guarded, namespace_name: str) -> None:
    assert protected.trusted("delete", "configmap", CONFIG_MAP, "-n", namespace_name).ok


def test_a_namespace_goes_with_what_is_protected(protected: Guarded, namespace_name: str) -> None:
    protected.plane.kubectl("delete", "namespace", namespace_name, "--wait=true", "--timeout=90s")


def test_in_audit_mode_what_would_be_denied_is_allowed_and_told(guard: Guarded, namespace_name: str) -> None:
    guard.start(enforce=False)
    namespace = guard.namespace(namespace_name)
    answer = guard.stranger("label", "configmap", CONFIG_MAP, "-n", namespace, "a=b")
    assert answer.ok
    assert "only the service writes it" in answer.error
    if guard.mode != "policy":
        line = 'toolset_guard_reviews_total{operation="UPDATE",rule="not-the-service",verdict="warned"}'
        assert guard.webhooks[0].metric(line) == 1
