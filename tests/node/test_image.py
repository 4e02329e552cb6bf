"""The image that buildah makes of the Dockerfile, on a base as small as the one that it names."""

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

import pytest

from tests.node.cluster import Node, shell
from tests.realparts import part
from toolset import __version__

MEBIBYTE = 1024 * 1024


@dataclass
class Image:
    """What is in an OCI archive with one image."""

    config: dict[str, Any]
    base: list[tarfile.TarInfo]
    ours: list[tarfile.TarInfo]


@pytest.fixture(scope="module")
def image() -> Image:
    with tarfile.open(part("node/images/dynamic-toolset.tar")) as archive:

        def blob(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file
            return file.read()

        def by_digest(entry: dict[str, Any]) -> bytes:
            return blob("blobs/" + entry["digest"].replace(":", "/"))

        (entry,) = json.loads(blob("index.json"))["manifests"]
        manifest = json.loads(by_digest(entry))
        layers = []
        for layer in manifest["layers"]:
            data = by_digest(layer)
            data = gzip.decompress(data) if layer["mediaType"].endswith("gzip") else data
            with tarfile.open(fileobj=io.BytesIO(data)) as content:
                layers.append(content.getmembers())
        base, *more = layers
        return Image(
            json.loads(by_digest(manifest["config"])), base, [one for layer in more for one in layer]
        )


def test_it_is_small(image: Image) -> None:
    assert sum(member.size for member in image.ours) < 150 * MEBIBYTE


def test_it_is_nobody_and_starts_the_service(image: Image) -> None:
    config = image.config["config"]
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["/app/bin/dynamic-toolset"], ["run"])
    assert config["Labels"]["org.opencontainers.image.version"] == __version__


def test_it_adds_no_shell_no_compiler_and_no_pip(image: Image) -> None:
    names = {member.name for member in image.ours}
    assert {name.split("/")[0] for name in names} == {"app"}
    assert not [name for name in names if name.startswith(("app/pip/", "app/setuptools/"))]
    programs = {name for name in names if name.startswith("app/bin/")}
    assert programs - {"app/bin/"} == {"app/bin/dynamic-toolset"}


def test_all_of_it_is_readable_and_nothing_is_writable_by_others(image: Image) -> None:
    files = [member for member in image.ours if member.isfile()]
    assert all(member.mode & 0o044 == 0o044 for member in files)
    assert not [member.name for member in files if member.mode & 0o022]


def test_byte_code_is_there_since_the_file_system_is_read_only(image: Image) -> None:
    names = " ".join(member.name for member in image.ours)
    assert "app/sidecar/__pycache__/controller.cpython-" in names


@pytest.mark.parametrize("arguments", ["--version", "run --help", "webhook --help", "discover --help"])
def test_each_command_runs_in_it(node: Node, arguments: str) -> None:
    name = "image-" + arguments.split(maxsplit=1)[0].strip("-")
    image = f"kubernaut/dynamic-toolset:{__version__}"
    assert shell(node, f"kubectl run {name} --rm -i --image={image} --restart=Never -- {arguments}")


def test_it_holds_no_shell(node: Node) -> None:
    image = f"kubernaut/dynamic-toolset:{__version__}"
    node.kubectl(
        "run", "no-shell", f"--image={image}", "--restart=Never", "--command", "--", "sh", "-c", "true"
    )
    reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    try:
        node.kubectl("wait", "pod/no-shell", "--for=jsonpath={.status.phase}=Failed", "--timeout=120s")
        assert node.kubectl("get", "pod", "no-shell", "-o", reason) == "StartError"
    finally:
        node.kubectl("delete", "pod", "no-shell", "--now")
