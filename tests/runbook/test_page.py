"""The page and the table are one: each command of the page is a row."""

import json
import re

from tests.realparts import ROOT
from tests.runbook import test_diagnose, test_monitoring, test_procedures, test_scenarios
from tests.runbook.rows import LOOKS, NODE

PAGE = (ROOT / "docs/runbook.md").read_text()


def commands() -> list[str]:
    """Those of the blocks that are typed; a command may go over several lines."""
    found: list[str] = []
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        for line in lines:
            if line.startswith(("kubectl ", "curl ")):
                found.append(line)
            else:
                found[-1] += f"\n{line}"
    return found


def rows() -> set[str]:
    marked = [
        argument
        for module in (test_scenarios, test_procedures, test_monitoring, test_diagnose)
        for test in vars(module).values()
        for mark in getattr(test, "pytestmark", ())
        if mark.name == "row"
        for argument in mark.args[1:]
    ]
    return {*(look.command for look in LOOKS), *(command for _, command, _ in NODE), *marked}


def test_each_command_of_the_page_is_tried_or_said_to_need_a_node() -> None:
    said = "\n".join(rows())
    assert [command for command in commands() if command not in said] == []


def test_each_command_that_is_tried_is_on_the_page() -> None:
    looked = {look.command for look in LOOKS if look.section not in {"Key metrics", "Diagnostic"}}
    assert looked - set(commands()) == set()


def test_the_page_of_the_dashboard_holds_each_panel_and_its_query() -> None:
    page = (ROOT / "docs/dashboard.md").read_text()
    panels = json.loads((ROOT / "helm/dynamic-toolset/files/dashboard.json").read_text())["panels"]
    for panel in panels:
        assert panel["title"] in page
        for target in panel.get("targets", ()):
            assert f"| {panel['title']} | `{target['expr']}` |" in page
