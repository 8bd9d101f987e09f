from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from engine.jsontext import MOST_NESTED, parse


@pytest.fixture(autouse=True)
def deep_stack() -> Iterator[None]:
    """The limit that the engine runs with."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"[":'])
def test_what_is_nested_too_deeply_is_an_error(opening: str) -> None:
    with pytest.raises(ValueError, match="nested deeper than 1000"):
        parse(opening * 200_000)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * MOST_NESTED + "]" * MOST_NESTED, id="as deep as may be"),
        pytest.param("[" + "[]," * MOST_NESTED + "[]]", id="wide"),
        pytest.param('["' + "[" * 2 * MOST_NESTED + '\\""]', id="brackets in text"),
    ],
)
def test_what_is_not_too_deep_is_read(text: str) -> None:
    assert isinstance(parse(text), list)


def test_what_is_too_deep_for_a_process_of_a_lower_limit_is_an_error() -> None:
    sys.setrecursionlimit(500)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse("[" * MOST_NESTED + "]" * MOST_NESTED)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "", "[1", b"\xff"])
def test_what_is_no_json_is_an_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_bytes_are_read_in_their_encoding() -> None:
    assert parse('"é"'.encode("utf-16")) == "é"
