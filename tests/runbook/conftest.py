"""The runbook's rows, and the table of them that is printed at the end."""

from collections.abc import Iterator

import pytest

from tests.runbook.rows import NODE
from tests.runbook.site import Site, standing

STAND_INS = {"kubectl logs": "by the process' log", "kubectl run": "asked from this machine"}


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with standing(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_site: Site) -> Site:
    """A healthy site to look at."""
    return _site


@pytest.fixture
def broken(_site: Site) -> Iterator[Site]:
    """A healthy site to break; it is healed afterwards."""
    with _site.healed():
        yield _site


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(section, command, ...): rows of the runbook that the test shows")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("row"):
        section, *commands = mark.args
        item.user_properties += [("row", (section, command)) for command in commands]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = []
    for outcome, verdict in (("passed", "holds"), ("failed", "FAILS"), ("error", "FAILS")):
        for report in terminalreporter.getreports(outcome):
            if outcome == "error" or report.when == "call":
                named = [row for kind, row in report.user_properties if kind == "row"]
                rows += [(section, command, verdict + _how(command)) for section, command in named]
    if not rows:
        return
    rows += [(section, command, f"needs a node: {what}") for section, command, what in NODE]
    terminalreporter.section("the runbook")
    for number, (section, command, verdict) in enumerate(rows, 1):
        terminalreporter.write_line(f"{number:3}  {section:22} {verdict:36} {' '.join(command.split())}")


def _how(command: str) -> str:
    return "".join(f", {how}" for words, how in STAND_INS.items() if words in command)
