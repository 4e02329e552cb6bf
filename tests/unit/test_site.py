"""The documentation as a site: built without a warning, from this repository alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.realparts import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    env = {"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return place


def test_every_page_is_in_its_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w/-]+\.md", text.partition("\nnav:")[2]))
    assert listed == {str(file.relative_to(ROOT / "docs")) for file in ROOT.glob("docs/**/*.md")}


def test_it_is_built_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()
    assert (site / "configuration/index.html").exists()
    assert (site / "picture.svg").exists()


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.glob("**/*.html"):
        loaded = re.findall(
            r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text()
        )
        assert [url for url in loaded if "canonical" not in url] == [], page


def test_what_is_outside_of_it_is_named_and_not_linked(site: Path) -> None:
    page = (site / "backends/index.html").read_text()
    assert "toolset/backends/</code>" in page
    assert 'href="../../toolset' not in page


def test_its_hook_is_the_one_that_is_there() -> None:
    [hook] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["hooks"]
    assert (ROOT / hook).exists()
