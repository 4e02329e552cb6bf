"""Judges what a server answered: what an answer lacks, and which prefix it discloses."""

import re
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from toolset.backend import Expectation
from toolset.proof import Answer, leaked_prefix, why_not

OBJECT = Draft202012Validator(
    {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "required": ["v"]}}}
)


def answer(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    return Answer(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), body)


def test_an_answer_that_meets_everything_lacks_nothing() -> None:
    expect = Expectation((200, 503), {"X-Product": re.compile("^lamp$")}, re.compile("data"), OBJECT)
    assert why_not(expect, answer(b'{"data": {"v": 1}}', 503, x_product="lamp")) == ""


def test_the_status_must_be_one_of_those_expected() -> None:
    assert why_not(Expectation(), answer(status=500)) == "status 500, expected 200"
    assert why_not(Expectation((200, 404)), answer(status=302)) == "status 302, expected 200 or 404"


def test_one_of_a_headers_values_must_be_like_the_pattern() -> None:
    expect = Expectation(headers={"WWW-Authenticate": re.compile("^Basic")})
    repeated = Answer(200, (("www-authenticate", "Bearer"), ("www-authenticate", "Basic realm=x")))
    assert why_not(expect, repeated) == ""
    assert why_not(expect, answer(www_authenticate="Bearer")) == "no header WWW-Authenticate like '^Basic'"
    assert why_not(expect, answer()) == "no header WWW-Authenticate like '^Basic'"


def test_the_text_is_searched_in_the_body_whatever_its_bytes() -> None:
    expect = Expectation(text=re.compile(r"^OK\s*$"))
    assert why_not(expect, answer(b"OK\n")) == ""
    assert why_not(expect, answer(b"\xff\xfeOK")) == r"body is not like '^OK\\s*$'"


@pytest.mark.parametrize("body", [b"", b"OK", b"{", b"\xff", b'{"a": 1}}', b"9" * 10_000, b"[" * 100_000])
def test_what_is_no_json_is_told(body: bytes) -> None:
    assert why_not(Expectation(json=OBJECT), answer(body)) == "body is not JSON"


def test_a_page_for_people_is_no_json_even_if_it_reads_like_it() -> None:
    page = answer(b'{"data": {"v": 1}}', content_type="Text/HTML; charset=utf-8")
    assert why_not(Expectation(json=OBJECT), page) == "a page for people (text/html), expected JSON"


def test_json_that_was_cut_off_proves_nothing() -> None:
    cut = Answer(200, (), b'{"data": {"v": 1}}', truncated=True)
    assert why_not(Expectation(json=OBJECT), cut) == "the answer is longer than what is read of it"


@pytest.mark.parametrize(
    ("body", "place"),
    [(b"[]", "the document does not meet 'type'"), (b'{"data": {}}', "data does not meet 'required'")],
)
def test_a_mismatch_names_the_place_and_quotes_nothing_of_the_answer(body: bytes, place: str) -> None:
    assert why_not(Expectation(json=OBJECT), answer(body)) == f"JSON: {place}"


def test_a_key_of_the_answer_forges_no_line_of_the_log() -> None:
    schema = Draft202012Validator({"additionalProperties": {"type": "integer"}})
    told = why_not(Expectation(json=schema), answer(b'{"\\u001b[2J\\nERROR ' + b"x" * 999 + b'": "a"}'))
    assert told.isprintable()
    assert len(told) < 200


def test_nothing_of_a_secret_in_the_answer_is_quoted() -> None:
    told = why_not(Expectation(json=OBJECT), answer(b'{"data": "hunter2"}'))
    assert told
    assert "hunter2" not in told


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900])
def test_deeply_nested_json_is_judged_and_nothing_more(depth: int) -> None:
    assert why_not(Expectation(json=OBJECT), answer(b"[" * depth + b"]" * depth))


@pytest.mark.parametrize(("status", "asks"), [(401, True), (403, True), (200, False), (407, False)])
def test_only_401_and_403_ask_for_a_login(status: int, asks: bool) -> None:
    assert answer(status=status).asks_for_login is asks


@pytest.mark.parametrize(
    ("location", "prefix"),
    [
        ("/prom/graph", "/prom/graph"),
        ("/prom/", "/prom"),
        ("/prom/?a=b#c", "/prom"),
        ("http://elsewhere.example/prom", "/prom"),
        ("/", ""),
        ("", ""),
        ("login", ""),
        ("http://[bad/", ""),
        ("/{{ env.TOKEN }}", ""),
        ("/a/../b", ""),
        ("/" + "a" * 1000, ""),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_discloses_a_prefix_only_if_it_is_a_plain_path(
    location: str, prefix: str, status: int
) -> None:
    assert leaked_prefix(answer(status=status, location=location)) == prefix


def test_a_redirect_without_a_location_discloses_nothing() -> None:
    assert leaked_prefix(answer(status=302)) == ""


@pytest.mark.parametrize(
    ("page", "prefix"),
    [
        (b'<head><base href="/jaeger/"></head>', "/jaeger"),
        (b"<BASE target=_top HREF='/grafana'>", "/grafana"),
        (b'<base href="/">', ""),
        (b'<base href="\xff\xfe/x">', ""),
        (b'<base href="//evil/x">', ""),
        (b"<html>", ""),
    ],
)
def test_a_page_discloses_the_prefix_of_its_base(page: bytes, prefix: str) -> None:
    assert leaked_prefix(answer(page)) == prefix


@pytest.mark.parametrize("page", [b"<base " * 11_000, b"<base href=" * 6_000, b'<base href="' * 5_000])
def test_a_page_made_to_be_slow_is_searched_quickly(page: bytes) -> None:
    started = time.process_time()
    leaked_prefix(answer(page))
    assert time.process_time() - started < 0.5


def test_headers_are_found_whatever_the_case_of_the_name_asked_for() -> None:
    given: Any = Answer(200, (("content-type", "a"), ("content-type", "b")))
    assert given.values("Content-Type") == ["a", "b"]
