"""Every form of toolset that the catalogue can render, loaded by the real HolmesGPT without complaint."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import Holmes
from toolset import render
from toolset.backend import Backend
from toolset.catalogue import CUSTOM, bundled
from toolset.classify import classify
from toolset.discovered import Discovered, Status
from toolset.render import Settings
from toolset.service import Service

CATALOGUE = bundled()
SETTINGS = Settings(trusted_namespaces=frozenset({"shop"}))
WITH_TOOLSETS = [backend for backend in CATALOGUE.values() if backend.toolsets]


def discovered(backend: Backend, name: str, status: Status = Status.VERIFIED, **fields: Any) -> Discovered:
    """A Service that its owner says is of this backend, as a pass would find it."""
    custom = {"kubernaut.io/toolset-type": "tracker", "kubernaut.io/toolset-health-path": "/healthz"}
    named = {"kubernaut.io/toolset-type": backend.name}
    numbers = [port for port in backend.endpoint.ports if isinstance(port, int)]
    service = Service.from_object(
        {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": name,
                "annotations": custom if backend.name == CUSTOM else named,
            },
            "spec": {
                "clusterIP": "10.96.0.1",
                "selector": {"app": name},
                "ports": [{"port": numbers[0]}],
            },
        }
    )
    classified = classify(service, CATALOGUE)
    assert classified.candidates, f"{backend.name}: {classified.ruled_out}"
    first = classified.candidates[0]
    return Discovered(first, first.endpoints[0], status, **fields)


def forms(backends: Iterable[Backend]) -> Iterator[Backend]:
    """One backend for each form: those that become the same toolset in the same way stand for each other."""
    seen: dict[str, Any] = {}
    for backend in backends:
        new = {rule.name: rule.config for rule in backend.toolsets if rule.name not in seen}
        assert all(seen.get(it.name, it.config) == it.config for it in backend.toolsets), (
            f"{backend.name} fills a toolset that others fill in another way: it needs a file of its own"
        )
        seen |= new
        if new:
            yield backend


def loaded(holmes: Holmes, file: Path, found: Iterable[Discovered]) -> dict[str, Any]:
    """What HolmesGPT made of each toolset, once it had nothing to say against any."""
    found = list(found)
    document = render.with_revision(render.toolset_document(found, SETTINGS), found)
    file.write_text(render.toolset_yaml(document))

    told = holmes(file, check=False, env={"SECRET": "s3cret"})

    assert told["outcome"] == "loaded", told
    assert told["errors"] == told["warnings"] == told["dropped"] == [], told
    assert set(told["toolsets"]) == set(document["toolsets"])
    # HolmesGPT takes a field that it does not know without a word, and does nothing with it.
    ignored = {
        name: fields
        for name, entry in told["toolsets"].items()
        if (fields := entry["config_check"].get("ignored"))
    }
    assert not ignored, ignored
    wanted = {name for names in render.toolset_names(found, SETTINGS).values() for name in names}
    assert wanted <= set(told["toolsets"])
    return dict(yaml.safe_load(file.read_text())["toolsets"])


@pytest.mark.parametrize("count", [1, 2])
def test_every_form_is_loaded_with_one_instance_and_with_two(
    tmp_path: Path, holmes: Holmes, count: int
) -> None:
    found = [
        discovered(backend, f"{backend.name}-{number}")
        for backend in forms(WITH_TOOLSETS)
        for number in range(count)
    ]
    toolsets = loaded(holmes, tmp_path / "custom_toolset.yaml", found)

    for backend in forms(WITH_TOOLSETS):
        for rule in backend.toolsets:
            if rule.many == "instances":
                assert len(toolsets[rule.name]["config"].get("instances", [None])) == count


def test_all_backends_together_are_loaded(tmp_path: Path, holmes: Holmes) -> None:
    """Unproven, failing, with an unknown certificate: what else changes the words of an entry."""
    states = (Status.VERIFIED, Status.UNPROVEN, Status.UNHEALTHY)
    found = [
        discovered(backend, f"{backend.name}--{state.value.replace('_', '-')}", state, verify_ssl=False)
        for backend in WITH_TOOLSETS
        for state in states
    ]
    loaded(holmes, tmp_path / "custom_toolset.yaml", found)


def test_what_the_operator_bound_credentials_to_is_loaded(tmp_path: Path, holmes: Holmes) -> None:
    found = [
        discovered(
            backend,
            f"{backend.name}-locked-{number}",
            Status.CREDENTIALED,
            credentials=dict.fromkeys(way.needs, "{{ env.SECRET }}"),
        )
        for backend in CATALOGUE.values()
        if backend.credentials
        for number, way in enumerate(backend.credentials.ways)
    ]
    toolsets = loaded(holmes, tmp_path / "custom_toolset.yaml", found)
    assert {"postgresql", "mysql", "mongodb"} <= {name.partition("/")[0] for name in toolsets}
