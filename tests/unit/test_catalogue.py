"""The catalogue: every file of the package loads, and a broken one says where and what is allowed."""

from importlib.resources import files
from typing import Any

import pytest

from tests.unit.builders import backend
from toolset.catalogue import Catalogue, CatalogueError, bundled, read_backend

FILES = sorted(item.name for item in files("toolset").joinpath("backends").iterdir())


def refusal(text: str) -> str:
    with pytest.raises(CatalogueError) as error:
        read_backend(text, "lamp.yaml")
    return str(error.value)


def broken(**sections: Any) -> str:
    """The refusal of a file that is right but for these sections."""
    with pytest.raises(CatalogueError) as error:
        backend("lamp", **sections)
    return str(error.value)


@pytest.mark.parametrize("file", FILES)
def test_every_bundled_file_loads_and_is_named_after_its_backend(file: str) -> None:
    text = files("toolset").joinpath("backends", file).read_text("utf-8")
    assert f"{read_backend(text, file).name}.yaml" == file


def test_the_bundled_catalogue_holds_every_file_in_alphabetical_order() -> None:
    assert [f"{name}.yaml" for name in bundled()] == FILES


@pytest.mark.parametrize("name", sorted(set(bundled()) - {"custom"}))
def test_every_bundled_backend_recognises_its_own_name_and_has_a_proof(name: str) -> None:
    entry = bundled()[name]
    assert name in entry.recognise.words
    assert entry.proofs
    assert entry.toolsets


@pytest.mark.parametrize("name", sorted(bundled()))
def test_no_proof_of_the_catalogue_carries_a_query(name: str) -> None:
    """Before it is proven, an address gets no query: some products run ``?query=`` on any path."""
    entry = bundled()[name]
    asked = [exchange.get for proof in (*entry.proofs, entry.refusals) for exchange in proof]
    assert not [path for path in asked if "?" in path]


def test_only_types_of_peoples_own_need_a_trusted_namespace() -> None:
    assert [name for name, entry in bundled().items() if entry.trusted_only] == ["custom"]


def test_a_catalogue_is_in_alphabetical_order_whatever_it_was_made_of() -> None:
    assert list(Catalogue([backend("lamp"), backend("bell")])) == ["bell", "lamp"]


def test_what_is_no_yaml_names_file_and_line() -> None:
    assert refusal("name: lamp\ntitle: [\n").startswith("lamp.yaml: line 3: not YAML: ")


def test_an_empty_file_lacks_every_required_key() -> None:
    told = refusal("")
    for key in ("name", "title", "description", "proofs", "health", "toolsets"):
        assert f"{key}: Missing data for required field." in told


def test_an_unknown_key_names_file_line_path_and_what_is_allowed() -> None:
    told = refusal("name: lamp\nrecognise:\n  wrods: [lamp]\n")
    assert told.startswith("lamp.yaml: line 1: title: Missing data for required field.")
    allowed = "labels, not_labels, not_words, port_signature, words"
    assert f"line 3: recognise.wrods: unknown key; allowed are {allowed}" in told


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"name": "Lamp"}, "name: "),
        ({"title": ""}, "title: "),
        ({"description": "x" * 121}, "description: "),
        ({"recognise": {"words": ["Two Words"]}}, "recognise.words[0]: "),
        ({"recognise": {"labels": [{}]}}, "recognise.labels[0]: "),
        ({"endpoint": {"ports": [True]}}, "endpoint.ports[0]: expected a port's name or number"),
        ({"endpoint": {"ports": [0]}}, "endpoint.ports[0]: expected a port's name or number"),
        ({"endpoint": {"paths": []}}, "endpoint.paths: "),
        ({"endpoint": {"paths": ["", "x"]}}, "endpoint.paths[1]: 'x' is no path prefix"),
        ({"endpoint": {"paths": ["/x/"]}}, "endpoint.paths[0]: '/x/' is no path prefix"),
        ({"proofs": [[]]}, "proofs[0]: "),
        ({"proofs": [[{"get": "about"}]]}, "proofs[0][0].get: "),
        ({"proofs": [[{"get": "/a", "post": "/b"}]]}, "proofs[0][0].post: unknown key"),
        ({"proofs": [[{"get": "/a", "status": [99]}]]}, "proofs[0][0].status[0]: "),
        ({"proofs": [[{"get": "/a", "text": "("}]]}, "proofs[0][0].text: '(' is no regular expression"),
        (
            {"proofs": [[{"get": "/a", "headers": {"X": "["}}]]},
            "proofs[0][0].headers.X: '[' is no regular expression",
        ),
        ({"proofs": [[{"get": "/a", "json": {"type": "objekt"}}]]}, "proofs[0][0].json: no JSON Schema"),
        ({"health": {}}, "health.get: Missing data for required field."),
        ({"toolsets": [{"name": "a b", "many": "instances", "config": {}}]}, "toolsets[0].name: "),
        ({"toolsets": [{"name": "a", "many": "all", "config": {}}]}, "toolsets[0].many: "),
        ({"toolsets": [{"name": "a", "many": "instances"}]}, "toolsets[0].config: Missing"),
        (
            {"toolsets": [{"name": "a", "many": "separate", "config": {}, "type": "mcp"}]},
            "toolsets[0].type: ",
        ),
    ],
)
def test_each_wrong_value_is_told_with_its_path(sections: dict[str, Any], place: str) -> None:
    told = broken(**sections)
    assert told.startswith("lamp.yaml: line ")
    assert place in told


def test_all_errors_of_a_file_are_told_at_once() -> None:
    told = broken(name="Lamp", title="", endpoint={"paths": ["x"]})
    assert all(place in told for place in ("name: ", "title: ", "endpoint.paths[0]: "))
