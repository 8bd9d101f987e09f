"""Queries read quickly, compared with what graphql-core makes of the same text."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import document
from engine.document import Fragment, Selection, parse
from engine.errors import EngineError
from engine.typesystem import EnumValue

NAMES = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "null", "on")
)
LITERALS = st.recursive(
    st.one_of(
        st.text(max_size=8).map(json.dumps),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(
            lambda text: json.dumps(text, ensure_ascii=False)
        ),
        st.integers().map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.sampled_from(["true", "false", "null", "TCP"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(NAMES, inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{k}: {v}" for k, v in entries.items()) + "}"
        ),
    ),
    max_leaves=6,
)
FIELDS = st.builds(
    lambda alias, name, arguments: (f"{alias}: " if alias else "")
    + name
    + (f"({', '.join(f'{k}: {v}' for k, v in arguments.items())})" if arguments else ""),
    st.none() | NAMES,
    NAMES,
    st.dictionaries(NAMES, LITERALS, max_size=3),
)
SELECTIONS = st.recursive(
    FIELDS,
    lambda inner: st.builds(
        lambda head, body: f"{head} {{ {' '.join(body)} }}",
        FIELDS | NAMES.map(lambda name: f"... on {name}"),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)
QUERIES = st.lists(SELECTIONS, min_size=1, max_size=3).map(lambda all_: "{" + "\n".join(all_) + "}")


def by_the_book(text: str) -> object:
    """What graphql-core makes of a text."""
    try:
        return document._parsed_by_the_book(text)
    except EngineError:
        return "an error"


def quickly(text: str) -> object:
    """What is made of a text without graphql-core, if anything."""
    try:
        return document._Reader(text).document()
    except document._Unusual:
        return None


@given(QUERIES)
@example('query Name {a(b: "\\u00e9\\n", c: -1.5e3) {... on B {d}}}')
def test_what_the_sdk_sends_is_read_quickly_and_as_graphql_has_it(text: str) -> None:
    assert quickly(text) == by_the_book(text)


@given(st.text(alphabet='{}()[]:"\\ $!.@#nue1-0\n,', max_size=30))
@example('{a(b:"""c""")}')
@example('{a(b:"\\ud800")}')
@example("{a(b:1,b:2)}")
@example("{a(b:01)}")
@example("{a(b:1.)}")
@example("{}")
@example("{a()}")
@example("{a{}}")
@example("{a}}")
def test_no_text_is_read_otherwise_than_graphql_has_it(text: str) -> None:
    found = quickly(text)
    assert found is None or found == by_the_book(text)


def test_chain_of_thousands_is_read() -> None:
    depth = 5000
    selections = parse("{a" * depth + "}" * depth)
    for _ in range(depth - 1):
        [found] = selections
        assert isinstance(found, Selection) and found.selections is not None
        selections = found.selections
    assert selections == [Selection("a", "a", {})]


def test_deeper_than_any_chain_is_an_error() -> None:
    with pytest.raises(EngineError, match="nested deeper"):
        parse("{a" * (document.DEEPEST + 1) + "}" * (document.DEEPEST + 1))


def test_rare_forms_are_left_to_graphql() -> None:
    text = '# a comment\nquery { a(b: """block""") { ... { c } ... on D { e } } }'
    inner: list[Selection | Fragment] = [
        Selection("c", "c", {}),
        Fragment("D", [Selection("e", "e", {})]),
    ]
    assert parse(text) == [Selection("a", "a", {"b": "block"}, inner)]


def test_bare_names_are_not_strings() -> None:
    [found] = parse('{a(b: TCP, c: "TCP")}')
    assert isinstance(found, Selection)
    assert isinstance(found.arguments["b"], EnumValue)
    assert not isinstance(found.arguments["c"], EnumValue)


@pytest.mark.parametrize("text", ["{a(b: $c)}", "query ($c: Int) {a(b: $c)}"])
def test_variables_are_refused(text: str) -> None:
    with pytest.raises(EngineError, match="variable"):
        parse(text)
