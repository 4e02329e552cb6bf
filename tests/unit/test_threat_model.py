"""The threat model: what it promises is tested, and what has no better place is tested here."""

import re
from pathlib import Path

import pytest

from toolset.service import Service

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda text: text.rpartition("/")[2])
def test_each_test_that_it_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_each_attack_names_a_defence_and_a_test() -> None:
    rows = [row for row in PAGE.partition("## Attacks")[2].splitlines() if row.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| attack |", "| harm |"))]
    assert len(rows) > 40
    for row in rows:
        _, attack, defence, tests, _ = re.split(r"(?<!\\)\|", row)
        assert attack.strip(), row
        assert defence.strip(), row
        assert re.fullmatch(r"(`tests/\S+::test_\w+`(, )?)+", tests.strip()), row


def test_no_address_but_the_api_servers_own_is_taken_from_a_service() -> None:
    read = Service.from_object(
        {
            "metadata": {"name": "prometheus", "namespace": "shop"},
            "spec": {
                "clusterIP": "10.96.0.1",
                "clusterIPs": ["169.254.169.254"],
                "externalIPs": ["169.254.169.254"],
                "externalName": "169.254.169.254",
                "loadBalancerIP": "169.254.169.254",
                "ports": [{"port": 80}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "169.254.169.254"}]}},
        }
    )
    assert read.address == "10.96.0.1"
    assert "169.254" not in repr(read)
