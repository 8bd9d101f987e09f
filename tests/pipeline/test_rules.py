"""The engine makes of any line what the rules say: compared with a reading in plain Python."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.places import STATES
from pipeline.records import COORDINATES, FIELDS
from pipeline.rules import KNOWN_TYPES
from tests.pipeline.cleaned import clean_lines
from tests.pipeline.reference import expected

# Letters that Python 3.11 knows: later Unicode may compose what it does not.
character = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs", "Co"])
dirt = st.sampled_from([" ", "\t", "\n", "\x00", "\x7f", "\x85", "\u00a0", "\u3000", "\u200b"])
hostile = st.sampled_from(
    ["", "true", "false", "null", "{", "{}", "[", "[]", "\\", '"', "'", "../", "=", "%2F", "🍺"]
    + ["A\u030a", "Å", "é" * 41, "NaN", "Infinity", "1e400", "-0", "0x10", "a  b", " a"]
)
text = st.text(character | dirt, max_size=8) | hostile | st.integers(4090, 4100).map("x".__mul__)
# ASCII and a few more: how letters beyond become lower case is the engine's matter.
word = st.text(st.sampled_from("aAbBzZ éÉüÜ'-./"), max_size=6)
country = (
    st.sampled_from([*list(STATES)[:9], "usa", " DEUTSCHLAND", "Freedonia"]).map(str.swapcase)
    | word
)
state = st.sampled_from([*STATES["Germany"].split("|"), "MIssouri", "deagu", " TEXAS"]) | word
number = (
    st.floats(allow_nan=True)
    | st.integers(-200, 200)
    | st.integers(-(10**30), 10**30)
    | st.floats(-190, 190).map(repr)
    | st.sampled_from(["1.", ".5", "+1", "1e1", " 7 ", "1_0", "１", "", "n/a", "--1", "1 2", "-"])
)
phone = st.text(st.sampled_from("0123456789 ()+./-x"), max_size=12) | st.sampled_from(
    ["+44 (0)20 1", "1234.0", "(0)1", "+(0)", "++1", "+1 (0)2 (0)3"]
)
website = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "HTTPS://", "www.", "WWW.", "ftp://", "http:/", ""]),
        st.sampled_from(["a.Example", "A@b.Example", "é.Example", ""]),
        st.sampled_from(["", "/", "/A/", "?Q=/", "#F", "//", " x"]),
    ),
)
odd = st.none() | st.booleans() | st.integers() | st.floats() | st.just(["x"]) | st.just({"x": 1})
special = {
    "id": st.sampled_from(["1", "2", " 2", "3 ", "é", "É"]),
    "country": country,
    "state": state,
    "state_province": state,
    "brewery_type": st.sampled_from([*KNOWN_TYPES, "Micro", " NANO ", "moon"]) | word,
    "phone": phone,
    "website_url": website,
    **{name: number for name in COORDINATES},
}
records = st.fixed_dictionaries(
    {},
    optional={
        name: (
            special.get(name, text) | st.one_of(text, odd)
            # What is looked up, and so lowered, stays among the letters above.
            if name not in ("country", "state", "state_province", "brewery_type")
            else special[name] | odd
        )
        for name in FIELDS
    },
)
others = st.sampled_from(
    ["", "{", "null", "3", '"x"', "[]", "{}", '{"id":1} 2', '{"id":"\\ud800"}', '{"id":1e2}']
    + ['{"id":"1","id":"2"}', '{"ID":"1"}', '{"id":"1","x":{"id":"2"}}', '{"id":"1","name":-0.0}']
    + ['{"n\\u0061me":"x","id":"9"}', '\t{"id" :\t"1" , "name": [ ] }', "<html>Down</html>"]
)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line of bronze: a record, compact as the API writes it or not, or another thing."""
    if draw(st.integers(0, 9)) == 0:
        return draw(others)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    return json.dumps(draw(records), ensure_ascii=draw(st.booleans()), separators=separators)


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(lines(), max_size=30))
@example(['{"id":"1","latitude":"-0"}', '{"id":"1","latitude":-0.0}'])
def test_the_engine_does_what_the_rules_say(rows: list[str]) -> None:
    _compare(rows)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=1500)
@given(st.lists(lines(), max_size=60))
def test_the_engine_does_what_the_rules_say_for_long(rows: list[str]) -> None:
    _compare(rows)


def _compare(rows: list[str]) -> None:
    silver, reasons, duplicates = expected(rows)
    found = clean_lines(rows)
    assert {row["id"]: row for row in found.silver.to_pylist()} == silver
    rejected = found.quarantine.to_pylist()
    assert {row["row"]: row["reason"] for row in rejected} == reasons
    assert all(row["record"] == rows[row["row"] - 1] for row in rejected)
    assert found.duplicates == duplicates


def test_ten_megabytes_in_a_field_are_one_rejected_row() -> None:
    lines = [json.dumps({"id": "1", name: "9" * 10_000_000}) for name in ("name", "latitude")]
    found = clean_lines(['{"id":"0"}', *lines])
    rows = found.quarantine.to_pylist()
    assert [row["record"] for row in rows] == lines
    assert [row["reason"] for row in rows] == [
        "name: longer than 4096 bytes",
        "latitude: not within -90 to 90",
    ]
    assert found.silver.num_rows == 1


def test_rows_come_in_the_order_of_their_partitions() -> None:
    places: list[tuple[Any, Any]] = [(None, "a"), ("B", None), ("B", "a"), ("A", "Z"), ("A", "a")]
    rows = [
        {"id": f"{number % 7}-{number}", "country": country, "state": state}
        for number, (country, state) in enumerate(places * 9)
    ]
    table = clean_lines([json.dumps(row) for row in rows]).silver
    keys = [
        tuple((row[key] is None, row[key] or "") for key in ("country", "state", "id"))
        for row in table.to_pylist()
    ]
    assert keys == sorted(keys)
