"""What the runbook's commands show at a healthy site."""

import re

import pytest

from tests.runbook.rows import LOOKS, Look
from tests.runbook.site import Site


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(look, marks=pytest.mark.row(look.section, look.command), id=look.command)
        for look in LOOKS
    ],
)
def test_it_shows_what_the_runbook_says(site: Site, look: Look) -> None:
    printed = site.bash(look.command)
    assert re.search(look.shows, printed), f"{look.command} printed:\n{printed}"
