"""What the Dockerfile promises, as far as its text tells. (That it runs is shown by tests/node.)"""

import configparser
import re

from tests.realparts import ROOT
from toolset import __version__

DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def test_everything_is_installed_by_its_hash() -> None:
    installs = re.findall(r"pip install (.*?)(?:\\\n|\n)", DOCKERFILE)
    assert len(installs) == 4
    own = [line for line in installs if "--require-hashes" not in line]
    assert len(own) == 1
    assert "--no-build-isolation" in own[0], "the project itself fetches nothing"


def test_the_final_image_runs_no_command_and_is_nobody() -> None:
    assert "\nRUN" not in FINAL
    assert "\nUSER 65532:65532\n" in FINAL
    assert f"ARG VERSION={__version__}\n" in FINAL


def test_only_what_the_build_needs_is_sent_to_it() -> None:
    sent = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {path.split("/")[0] for line in copied for path in line.split()} == sent


def test_every_package_of_the_project_is_in_the_image() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = {name.partition(".")[0] for name in setup["options.packages.find"]["include"].split()}
    assert packages <= set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))


def test_the_bill_of_materials_is_in_it() -> None:
    assert "COPY --from=bom /sbom.cdx.json /app/sbom.cdx.json\n" in FINAL
    installed = re.search(r"--target /app -r (\S+)", DOCKERFILE)
    listed = re.search(r"cyclonedx_py requirements (\S+)", DOCKERFILE)
    assert installed
    assert listed
    assert installed[1] == listed[1]
