"""YAML that people write: read safely, and every value's line known."""

from typing import Any

import pytest

from toolset.yaml_source import YamlError, dotted, parse, parse_all


def refused(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(YamlError) as error:
        parse(text)
    return [(problem.line, problem.path, problem.message) for problem in error.value.problems]


def test_values_are_read_as_yaml_has_them() -> None:
    text = "{text: a, quoted: '1', number: 1, float: 1.5, yes: true, none: null, list: [1, {a: b}]}"
    assert parse(text).data == {
        "text": "a",
        "quoted": "1",
        "number": 1,
        "float": 1.5,
        "yes": True,
        "none": None,
        "list": [1, {"a": "b"}],
    }


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_text_is_no_data(text: str) -> None:
    assert parse(text).data is None


def test_each_value_knows_its_line() -> None:
    document = parse("a:\n  b: 1\n  c:\n  - x\n  - y: 2\n")
    paths: list[tuple[str | int, ...]] = [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1, "y")]
    assert [document.line(path) for path in paths] == [2, 2, 4, 5]


def test_a_value_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = parse("a: 1\nb:\n  c:\n    d: 1\n")
    assert document.line(("b", "c", "missing", 3)) == 4
    assert document.line(("missing",)) == 1


def test_a_problem_says_line_path_and_message() -> None:
    document = parse("a:\n- b.c: 1\n")
    assert str(document.problem(("a", 0, "b.c"), "is wrong")) == 'line 2: a[0]."b.c": is wrong'
    assert str(document.problem((), "is wrong")) == "line 1: is wrong"


def test_paths_read_as_people_write_them() -> None:
    assert dotted(("a", 0, "b.c", 1, 2, "d")) == 'a[0]."b.c"[1][2].d'
    assert dotted(()) == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1,\n", 2),
        ("a: b: c", 1),
        ("ok: 1\n\tb: 2", 2),
        ("a: 'x", 1),
        ("a: *nobody", 1),
        ("\0", 0),
        ("a\n---\n}", 3),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int) -> None:
    [(where, _, message)] = refused(text)
    assert where == line
    assert message.startswith("not YAML: ")


def test_a_second_document_is_refused_with_its_line() -> None:
    assert refused("a: 1\n---\nb: 2\n") == [(3, "", "a second document: one is allowed")]


def test_a_stream_may_hold_many_documents() -> None:
    documents = parse_all("a: 1\n---\n---\nb: 2\n")
    assert [document.data for document in documents] == [{"a": 1}, None, {"b": 2}]
    assert documents[2].line(("b",)) == 4


def test_all_duplicate_keys_are_told() -> None:
    assert refused("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [
        (4, "b.c", "the key is there twice"),
        (5, "a", "the key is there twice"),
    ]


def test_numbers_as_keys_are_text_and_collide_as_text() -> None:
    assert parse("1: a").data == {"1": "a"}
    assert refused("1: a\n'1': b\n")[0][2] == "the key is there twice"


@pytest.mark.parametrize("text", ["a: &x {b: 1}\nc: *x\n", "a: &x [*x]\n"])
def test_aliases_are_refused(text: str) -> None:
    assert "aliases are not allowed" in refused(text)[0][2]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "aliases" in refused("\n".join(["l0: &l0 [x]", *levels]))[0][2]


def test_merge_keys_are_refused() -> None:
    assert refused("a: {<<: {b: 1}}")[0] == (
        1,
        "a",
        "merge keys and keys that are no text are not allowed",
    )


@pytest.mark.parametrize("text", ["? [a, b]\n: c", "? {a: b}\n: c"])
def test_keys_that_are_no_text_are_refused(text: str) -> None:
    assert "keys that are no text" in refused(text)[0][2]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: !!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
        ("a: !!binary aGVsbG8=", "!!binary"),
        ("a: !!set {b, c}", "!!set"),
        ("a: !vault {b: c}", "!vault"),
        ("a: !env HOME", "!env"),
    ],
)
def test_tags_are_refused_by_name(text: str, tag: str) -> None:
    assert refused(text) == [(1, "a", f"the tag {tag} is not allowed")]


@pytest.mark.parametrize("text", ["2026-11-24", "2026-11-24T10:00:00Z", "=", "<<"])
def test_what_json_has_no_type_for_stays_text(text: str) -> None:
    assert parse(f"a: {text}").data == {"a": text}


def test_a_number_that_is_none_is_told_with_its_line_and_the_rest_read_on() -> None:
    problems = refused("a: !!int x\nb: !!float y\n")
    assert [(line, path) for line, path, _ in problems] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("text", ["[" * 60 + "]" * 60, "{a: " * 60 + "}" * 60, "[" * 100_000])
def test_nesting_has_a_limit(text: str) -> None:
    assert "nest" in refused(text)[0][2]


def test_lines_are_remembered_only_as_deep_as_asked() -> None:
    [document] = parse_all("items:\n- metadata:\n    name: a\n", line_depth=2)
    path: tuple[Any, ...] = ("items", 0, "metadata", "name")
    assert document.data == {"items": [{"metadata": {"name": "a"}}]}
    assert set(document.lines) == {(), ("items",), ("items", 0)}
    assert document.line(path) == 2
