"""Services from manifests: whatever kubectl and helm print, and what a broken one costs."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar import manifests
from sidecar.manifests import ManifestError, fingerprint


def obj(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def text(name: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: shop\n"


def names(read: manifests.Manifests) -> list[str]:
    return [service.name for service in read.services]


def of(tmp_path: Path, content: str, name: str = "m.yaml") -> manifests.Manifests:
    file = tmp_path / name
    file.write_text(content)
    return manifests.read(str(file))


class Unreadable:
    """Standard input of a terminal that speaks Latin-1."""

    def read(self) -> str:
        return b"\xe4".decode("utf-8")


def test_one_service_is_read(tmp_path: Path) -> None:
    read = of(tmp_path, text("a"))
    assert [service.key for service in read.services] == ["shop/a"]
    assert read.problems == ()


def test_a_stream_of_documents_is_read_and_sorted(tmp_path: Path) -> None:
    read = of(tmp_path, f"---\n{text('b')}---\n# nothing here\n---\n{text('a')}")
    assert names(read) == ["a", "b"]


def test_a_list_of_kubectl_is_read(tmp_path: Path) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": [obj("a"), obj("b")]}
    assert names(of(tmp_path, json.dumps(items, indent=2))) == ["a", "b"]


def test_items_of_a_servicelist_need_no_kind_of_their_own(tmp_path: Path) -> None:
    items = {"kind": "ServiceList", "items": [{"metadata": {"name": "a"}}]}
    assert names(of(tmp_path, json.dumps(items))) == ["a"]


def test_a_json_file_is_read_whatever_its_name_says(tmp_path: Path) -> None:
    for name in ("m.json", "m.yaml", "m.txt"):
        assert names(of(tmp_path, json.dumps(obj("a")), name)) == ["a"]


def test_other_kinds_are_passed_over_in_silence(tmp_path: Path) -> None:
    others = [
        {"kind": "Deployment", "apiVersion": "apps/v1"},
        {"kind": "Service", "apiVersion": "serving.knative.dev/v1"},
        {"kind": "List", "items": []},
    ]
    read = of(tmp_path, "\n---\n".join(map(json.dumps, [*others, obj("a")])))
    assert names(read) == ["a"]
    assert read.problems == ()


def test_a_service_that_is_described_twice_is_the_last_one(tmp_path: Path) -> None:
    read = of(tmp_path, "\n---\n".join(json.dumps(obj("a", clusterIP=f"10.0.0.{n}")) for n in (1, 2)))
    assert [service.cluster_ip for service in read.services] == ["10.0.0.2"]


def test_a_directory_is_read_file_by_file(tmp_path: Path) -> None:
    for name, content in {"b.yml": text("b"), "a.yaml": text("a"), "c.json": json.dumps(obj("c"))}.items():
        (tmp_path / name).write_text(content)
    for name in (".hidden.yaml", "a.yaml~", "a.yaml.swp", "notes.txt"):
        (tmp_path / name).write_text(text("x"))
    (tmp_path / "..data").mkdir()
    assert names(manifests.read(str(tmp_path))) == ["a", "b", "c"]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text("a")))
    assert names(manifests.read("-")) == ["a"]


def test_standard_input_that_is_no_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Unreadable())
    with pytest.raises(ManifestError, match="standard input: is not UTF-8"):
        manifests.read("-")


def test_standard_input_has_a_name_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a: [\n"))
    assert manifests.read("-").problems[0].startswith("standard input: line ")


def test_a_broken_service_costs_only_itself_and_is_told_with_file_and_line(tmp_path: Path) -> None:
    read = of(tmp_path, f"{text('a')}---\n{text('No_Name')}---\n{text('b')}")
    assert names(read) == ["a", "b"]
    [problem] = read.problems
    assert problem.startswith(f"{tmp_path}/m.yaml: line 7: metadata.name: 'No_Name' is no DNS label")


def test_a_broken_item_of_a_list_is_told_with_its_own_line(tmp_path: Path) -> None:
    content = """\
kind: List
items:
- kind: Service
  metadata: {name: a}
- kind: Service
  metadata: {name: B}
- 7
"""
    read = of(tmp_path, content)
    assert names(read) == ["a"]
    assert [problem.split(": ")[1] for problem in read.problems] == ["line 5", "line 7"]


def test_a_broken_item_of_json_is_told_with_its_place(tmp_path: Path) -> None:
    read = of(tmp_path, json.dumps({"kind": "List", "items": [obj("a"), obj("B")]}))
    assert names(read) == ["a"]
    assert read.problems[0].startswith(f"{tmp_path}/m.yaml: items[1]: metadata.name: ")


def test_a_file_that_is_no_yaml_costs_only_its_own_services(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_text(text("b") + "spec: [\n")
    read = manifests.read(str(tmp_path))
    assert names(read) == ["a"]
    assert read.problems[0].startswith(f"{tmp_path}/b.yaml: line ")
    assert "not YAML" in read.problems[0]


@pytest.mark.parametrize("content", ["[1, 2]", "just text", "7"])
def test_a_file_of_something_else_is_told(tmp_path: Path, content: str) -> None:
    read = of(tmp_path, content)
    assert read.services == ()
    assert "expected a Kubernetes object" in read.problems[0]


@pytest.mark.parametrize("content", ["{" * 100_000, '{"a":' * 100_000, "[" * 100_000])
def test_a_file_that_nests_without_end_is_told(tmp_path: Path, content: str) -> None:
    assert "not YAML" in of(tmp_path, content).problems[0]


def test_a_file_that_is_not_utf_8_is_told_and_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    read = manifests.read(str(tmp_path))
    assert names(read) == ["a"]
    assert read.problems == (f"{tmp_path}/b.yaml: is not UTF-8",)


def test_a_file_that_is_too_large_is_told_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    with (tmp_path / "b.yaml").open("wb") as sparse:
        sparse.truncate(manifests.MAX_BYTES + 1)
    read = manifests.read(str(tmp_path))
    assert names(read) == ["a"]
    assert "b.yaml: larger than" in read.problems[0]


def test_a_file_that_cannot_be_read_is_told_and_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "c.yaml").mkdir()
    read = manifests.read(str(tmp_path))
    assert names(read) == ["a"]
    assert read.problems == (
        f"{tmp_path}/b.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/c.yaml: cannot be read: Is a directory",
    )


def test_a_path_that_is_not_there_is_told_with_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match="no such file or directory; give a manifest, a directory of them, or -"
    ):
        manifests.read(str(tmp_path / "nowhere"))


def test_a_directory_without_manifests_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="holds no manifest"):
        manifests.read(str(tmp_path))


def test_a_directory_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        manifests.read(str(tmp_path))
    assert fingerprint(str(tmp_path))


def test_the_fingerprint_changes_whenever_a_manifest_does(tmp_path: Path) -> None:
    seen = [fingerprint(str(tmp_path))]

    def changed() -> bool:
        seen.append(fingerprint(str(tmp_path)))
        return len(set(seen)) == len(seen)

    (tmp_path / "a.yaml").write_text(text("a"))
    assert changed()
    (tmp_path / "a.yaml").write_text(text("longer"))
    assert changed()
    os.utime(tmp_path / "a.yaml", ns=(1, 1))
    assert changed()
    (tmp_path / "b.yaml").write_text(text("b"))
    assert changed()
    (tmp_path / "b.yaml").rename(tmp_path / "c.yaml")
    assert changed()


def test_the_fingerprint_stays_while_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    before = fingerprint(str(tmp_path))
    (tmp_path / ".a.yaml.swp").write_text("an editor's")
    manifests.read(str(tmp_path))
    assert fingerprint(str(tmp_path)) == before


def test_what_is_gone_has_a_fingerprint_too(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "gone.yaml"))
