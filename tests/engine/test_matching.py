from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.matching import Pattern, Submatch


def lines(pattern: Pattern, data: str) -> list[tuple[int, str]]:
    """The first line's number and the lines of each match."""
    return [(match.line, match.lines) for match in pattern.matches(data.encode())]


def test_each_line_with_a_match_is_one_result() -> None:
    [match] = Pattern(text="b").matches("aé\nbéb\n".encode())
    assert (match.line, match.offset, match.lines) == (2, 4, "béb\n")
    assert match.submatches == (Submatch("b", 0, 1), Submatch("b", 3, 4))


@pytest.mark.parametrize(
    ("pattern", "data", "expected"),
    [
        pytest.param(Pattern(text="a.c"), "abc\na\n", [(1, "abc\n")], id="regex"),
        pytest.param(Pattern(text="a.c", literal=True), "abc\na.c\n", [(2, "a.c\n")], id="literal"),
        pytest.param(Pattern(text="^É$", insensitive=True), "é\né.\n", [(1, "é\n")], id="case"),
        pytest.param(Pattern(text="$"), "x\n\ny", [(1, "x\n"), (2, "\n"), (3, "y")], id="ends"),
    ],
)
def test_options_change_what_matches(
    pattern: Pattern, data: str, expected: list[tuple[int, str]]
) -> None:
    assert lines(pattern, data) == expected


def test_across_lines_a_match_brings_all_its_lines() -> None:
    found = lines(Pattern(text="a\\nb", multiline=True), "1 a\nb 2\n3\n")
    assert found == [(1, "1 a\nb 2\n")]


def test_matches_that_share_a_line_are_one_result() -> None:
    [match] = Pattern(text="a\nb|c", multiline=True).matches(b"a\nb c\n")
    assert match.lines == "a\nb c\n"
    assert [sub.text for sub in match.submatches] == ["a\nb", "c"]


def test_a_match_that_ends_a_line_leaves_the_next_one_alone() -> None:
    found = lines(Pattern(text="a\n", multiline=True), "a\na\n")
    assert found == [(1, "a\n"), (2, "a\n")]


def test_the_dot_crosses_lines_only_when_asked() -> None:
    assert lines(Pattern(text="a.b", multiline=True), "a\nb\n") == []
    dotall = Pattern(text="a.b", multiline=True, dotall=True)
    assert lines(dotall, "a\nb\n") == [(1, "a\nb\n")]


def test_a_line_that_is_not_utf8_is_passed_over() -> None:
    assert [m.line for m in Pattern(text="a").matches(b"a\xff\na\n")] == [2]


def test_binary_files_have_no_matches() -> None:
    assert list(Pattern(text="a").matches(b"a\0")) == []


@pytest.mark.parametrize("text", ["(", "a\nb", "[[:alpha:]]", r"\p{L}"])
def test_a_pattern_that_is_malformed_or_of_another_dialect_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="regex"):
        Pattern(text=text).compiled()


TEXTS = st.text(st.sampled_from("ab\n\ré"), max_size=12)
REGEXES = st.lists(
    st.sampled_from(["a", "b", "é", ".", "^", "$", "\\n", "\\s", "[^a]", "a?", "b*", "(a|é)"]),
    min_size=1,
    max_size=4,
).map("".join)


def located(pattern: Pattern, data: bytes) -> list[str]:
    """The text of each match, after a look whether all is where it is said to be."""
    found, end = [], 0
    for match in pattern.matches(data):
        whole = match.lines.encode()
        assert match.offset >= end, "a line is in two results"
        end = match.offset + len(whole)
        assert data[match.offset : end] == whole
        assert match.offset == 0 or data[match.offset - 1 : match.offset] == b"\n"
        assert end == len(data) or whole.endswith(b"\n")
        assert match.line == 1 + data.count(b"\n", 0, match.offset)
        assert match.submatches
        for sub in match.submatches:
            assert whole[sub.start : sub.end].decode() == sub.text
            found.append(sub.text)
        for line in re.finditer(rb"[^\n]*\n|[^\n]+", whole):
            assert any(_touches(sub, *line.span(), len(whole)) for sub in match.submatches)
    return found


def _touches(sub: Submatch, first: int, last: int, end: int) -> bool:
    """Whether a match is in a line, or empty at the end of the last one."""
    return first < max(sub.end, sub.start + 1) and (sub.start < last or sub.start == last == end)


@settings(max_examples=2 * settings().max_examples)
@given(REGEXES, TEXTS)
def test_matches_across_lines_are_those_of_the_whole_text(regex: str, text: str) -> None:
    expected = [match[0] for match in re.finditer(regex, text, re.MULTILINE)]
    assert located(Pattern(text=regex, multiline=True), text.encode()) == expected


@settings(max_examples=2 * settings().max_examples)
@given(REGEXES, TEXTS)
def test_matches_by_line_are_those_of_each_line(regex: str, text: str) -> None:
    lines = text.split("\n") if text else []
    if text.endswith("\n"):
        lines.pop()
    expected = [match[0] for line in lines for match in re.finditer(regex, line, re.MULTILINE)]
    assert located(Pattern(text=regex), text.encode()) == expected
