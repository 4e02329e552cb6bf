"""What people read, taken apart: the commands and the YAML that pages show."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.realparts import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("helm/*/README.md"))]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A line behind ``$ ``, and what the page shows that it prints."""

    page: str
    line: str
    shown: str

    def __str__(self) -> str:
        return f"{self.page}: {self.line[:60]}"


def blocks(kind: str) -> list[tuple[str, str]]:
    """Page and text of each fenced block of a kind."""
    return [
        (page.name, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for page in PAGES
        for indent, language, text in _BLOCK.findall(page.read_text())
        if language == kind
    ]


def commands() -> list[Command]:
    """Every command of every page."""
    found = []
    for page, text in blocks("console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            found.append(Command(page, line, shown))
    return found


def program(line: str) -> str:
    """The program of a line; of a kubectl plugin, the plugin."""
    words = [word for word in line.split() if "=" not in word or word.startswith("-")]
    return "dynamic-toolset" if words[:2] == ["kubectl", "dynamic-toolset"] else words[0]


def page(name: str) -> str:
    """The text of a page of docs/."""
    return (ROOT / "docs" / name).read_text()


def resolved(line: str) -> list[Path]:
    """What of a line is a path of this repository."""
    words = (word.strip("'\"") for word in line.split())
    return [
        ROOT / word for word in words if re.match(r"(\./)?(scripts|helm|examples|docs)/|deploy/.*yaml", word)
    ]
