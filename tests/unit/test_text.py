"""What text from a cluster may look like before it reaches a generated file or a terminal."""

import pytest

from toolset.text import is_instance_name, is_url_path, printable, why_unsafe


@pytest.mark.parametrize("mark", ["{{", "{%", "{#"])
def test_anything_that_may_be_read_as_a_template_is_unsafe(mark: str) -> None:
    assert "template mark" in why_unsafe(f"plain {mark} text")


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\0", "\x1b", "\x85", "\u2028", "\u2029", "\u202e", "\ufeff"]
)
def test_control_characters_and_line_ends_are_unsafe(character: str) -> None:
    assert "control character" in why_unsafe(f"a{character}b")


@pytest.mark.parametrize("text", ["", "plain", "http://a.b:1/c?d=e&f", "{ single }", "größer ≥ 1", "100 %"])
def test_plain_text_is_safe(text: str) -> None:
    assert why_unsafe(text) == ""


def test_what_is_printed_is_one_line_whatever_it_holds() -> None:
    hostile = "a\nb\r\x1b[2J\u2028\u2029\x85\u202e"
    assert printable(hostile).isprintable()
    assert len(printable(hostile).splitlines()) == 1


@pytest.mark.parametrize("text", ["/", "/a", "/a/b-c_d.e~f", "/a%20b", "/a:b@c", "/!$&'()*+,;="])
def test_an_absolute_path_is_a_path(text: str) -> None:
    assert is_url_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/b",
        "//a",
        "/a//b",
        "/../a",
        "/a/..",
        "/a?b",
        "/a#b",
        "/a b",
        "/ä",
        "/a\n",
        '/"',
        "/{",
        "/[",
        "/\\",
    ],
)
def test_what_is_no_plain_path_is_none(text: str) -> None:
    assert not is_url_path(text)


def test_a_path_is_at_most_128_characters_long() -> None:
    assert is_url_path("/" + "a" * 127)
    assert not is_url_path("/" + "a" * 128)


def test_no_path_holds_the_words_that_the_runbook_counts() -> None:
    assert is_url_path("/endpoint/x:y")
    assert not is_url_path("/my-endpoint:x")


@pytest.mark.parametrize("text", ["a", "A.b_c-9", "9", "a" * 63])
def test_plain_short_names_name_instances(text: str) -> None:
    assert is_instance_name(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", ".", "a b", "a/b", "a:b", "ä", "a\n", "a" * 64])
def test_other_names_do_not(text: str) -> None:
    assert not is_instance_name(text)


def test_a_terminal_sees_escapes_for_control_characters() -> None:
    assert printable("a\x1b[2Jb\n\u202e") == "a\\x1b[2Jb\\n\\u202e"


def test_long_text_is_cut() -> None:
    assert printable("abcdef", 4) == "abc…"
    assert printable("abcd", 4) == "abcd"
