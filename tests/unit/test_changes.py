"""`discover --watch`: the events that lead from one discovery to the next."""

import json
from dataclasses import replace

import yaml

from sidecar.changes import FORMATS, changes
from tests.unit.rendering import SETTINGS, lamp
from toolset.discovered import Discovery, Skipped, Status

HALL, DESK = lamp("lamp-hall"), lamp("lamp-desk")
NOTHING = Discovery()


def events(before: Discovery, after: Discovery) -> list[tuple[str, str]]:
    return [(event.type, event.found.service.key) for event in changes(before, after)]


def printed(form: str, before: Discovery, after: Discovery) -> str:
    return "".join(FORMATS[form](event, SETTINGS) for event in changes(before, after))


def test_what_is_there_at_first_is_added_by_namespace_and_name() -> None:
    assert events(NOTHING, Discovery((HALL, DESK))) == [
        ("ADDED", "shop/lamp-desk"),
        ("ADDED", "shop/lamp-hall"),
    ]


def test_another_status_is_a_change_and_other_evidence_is_none() -> None:
    broken = replace(HALL, status=Status.UNHEALTHY)
    assert events(Discovery((HALL,)), Discovery((broken,))) == [("MODIFIED", "shop/lamp-hall")]
    assert events(Discovery((HALL,)), Discovery((replace(HALL, evidence=("asked again",)),))) == []


def test_what_goes_is_told_with_the_reason_where_there_is_one() -> None:
    left_out = Discovery((), (Skipped("shop", "lamp-hall", "disabled by its annotation"),))
    assert events(Discovery((HALL,)), NOTHING) == [("DELETED", "shop/lamp-hall")]
    line = printed("table", Discovery((HALL,)), left_out)
    assert line.split(maxsplit=4) == [
        "DELETED",
        "shop/lamp-hall",
        "lamp",
        "gone",
        "disabled by its annotation\n",
    ]


def test_a_line_tells_event_service_backend_status_and_url_plainly_where_there_is_no_terminal() -> None:
    line = printed("table", NOTHING, Discovery((HALL,)))
    url = "http://lamp-hall.shop.svc.cluster.local:9090"
    assert line.split() == ["ADDED", "shop/lamp-hall", "lamp", "verified", url]


def test_programs_get_an_object_a_line_or_a_document_an_event() -> None:
    both = Discovery((DESK, HALL))
    lines = [json.loads(line) for line in printed("json", NOTHING, both).splitlines()]
    assert [(it["type"], it["service"]["name"]) for it in lines] == [
        ("ADDED", "lamp-desk"),
        ("ADDED", "lamp-hall"),
    ]
    assert list(yaml.safe_load_all(printed("yaml", NOTHING, both))) == lines
