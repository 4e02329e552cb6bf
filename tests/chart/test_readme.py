"""The chart's README describes every value that there is, and no other (rendered: test_cluster.py)."""

import re

import yaml

from tests.chart.test_values import leaves
from tests.helm import CHART


def test_every_value_is_described_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \|", (CHART / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
