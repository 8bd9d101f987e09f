"""Arrays are cut where their elements end, and nothing in an element changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.json_array import array_elements


def test_records_are_kept_as_they_were_written() -> None:
    text = '[ {"a" : 1.50,\r\n "a":2e0} ,null,"\\u2028 é"\n]\n'
    assert array_elements(text) == ['{"a" : 1.50,   "a":2e0}', "null", '"\\u2028 é"']


leaves = st.none() | st.floats(allow_nan=False) | st.text(max_size=5)
rows = st.lists(leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(), leaves))


@settings(max_examples=settings().max_examples // 2)
@given(rows, st.integers(0, 3))
def test_elements_of_any_array_read_back_as_that_array(rows: list[object], indent: int) -> None:
    elements = array_elements(json.dumps(rows, indent=indent or None, ensure_ascii=indent == 1))
    assert [json.loads(element) for element in elements] == rows
    assert not any("\n" in element for element in elements)


def test_numbers_of_any_length_are_kept() -> None:
    number = "9" * 5000
    assert array_elements(f"[{number}, -1e99999, NaN]") == [number, "-1e99999", "NaN"]


@pytest.mark.parametrize("text", ["", "{}", "[1", "[1,]", "[1] 2", "[1 2]", "nul", "[nul]"])
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the answer"):
        array_elements(text)
