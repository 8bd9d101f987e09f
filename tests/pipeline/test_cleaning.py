"""A table of cases for each rule of silver."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cleaning import QUARANTINE_SCHEMA, SCHEMA
from pipeline.records import FIELDS
from tests.pipeline.cleaned import Cleaned, clean_lines

BREWERY = {
    "id": "1",
    "name": "Alt",
    "brewery_type": "micro",
    "address_1": "1 Main St",
    "address_2": None,
    "address_3": None,
    "city": "Rolla",
    "state_province": "Missouri",
    "postal_code": "65401",
    "country": "United States",
    "longitude": -91.77,
    "latitude": 37.95,
    "phone": "5731234567",
    "website_url": "http://alt.example",
    "state": "Missouri",
    "street": "1 Main St",
}


def cleaned(*records: object) -> Cleaned:
    return clean_lines([json.dumps(record) for record in records])


def only(**changes: object) -> dict[str, Any]:
    """The silver row of one brewery with these changes."""
    result = cleaned(BREWERY | changes)
    assert result.quarantine.to_pylist() == []
    (row,) = result.silver.to_pylist()
    return dict(row)


def rejected(record: object) -> str:
    result = cleaned(record)
    assert result.silver.num_rows == 0
    (row,) = result.quarantine.to_pylist()
    return str(row["reason"])


def test_a_clean_brewery_keeps_every_value() -> None:
    row = only()
    expected = BREWERY | {"known_type": True}
    assert row == {name: expected[name] for name in SCHEMA.names}


@pytest.mark.parametrize(
    "came, kept",
    [
        pytest.param("  Alt ", "Alt", id="trimmed"),
        pytest.param("Alt\t \nBier", "Alt Bier", id="runs-of-space-are-one"),
        pytest.param("\u00a0Alt\u2003Bier\u3000", "Alt Bier", id="unicode-space"),
        pytest.param("A\x00lt\x1b", "A lt", id="control-characters"),
        pytest.param("", None, id="empty-is-null"),
        pytest.param(" \u00a0 ", None, id="blank-is-null"),
        pytest.param(None, None, id="null-stays"),
        pytest.param("Bra\u0308u", "Bräu", id="composed"),
        pytest.param("酒造 🍺", "酒造 🍺", id="any-script"),
        pytest.param(1516, "1516", id="number-becomes-text"),
    ],
)
def test_text(came: object, kept: str | None) -> None:
    assert only(name=came)["name"] == kept


@pytest.mark.parametrize(
    "country, state, canonical",
    [
        pytest.param("United States", "MIssouri", ("United States", "Missouri"), id="MIssouri"),
        pytest.param("South Korea", "Deagu", ("South Korea", "Daegu"), id="Deagu"),
        pytest.param("South Korea", "DEAGU", ("South Korea", "Daegu"), id="variant-in-capitals"),
        pytest.param("united states", "NEW YORK", ("United States", "New York"), id="case-of-both"),
        pytest.param("USA", "texas", ("United States", "Texas"), id="country-variant"),
        pytest.param("Germany", "THÜRINGEN", ("Germany", "Thüringen"), id="case-beyond-ascii"),
        pytest.param("Belgium", "Flanders", ("Belgium", "Vlaanderen"), id="other-language"),
        pytest.param("Germany", "Missouri", ("Germany", "Missouri"), id="state-of-another-country"),
        pytest.param("Freedonia", "sylvania", ("Freedonia", "sylvania"), id="unknown-is-kept"),
        pytest.param(None, "MIssouri", (None, "MIssouri"), id="no-country"),
        pytest.param("Germany", None, ("Germany", None), id="no-state"),
    ],
)
def test_country_and_state(
    country: str | None, state: str | None, canonical: tuple[str | None, str | None]
) -> None:
    row = only(country=country, state_province=state, state=state)
    assert (row["country"], row["state"]) == canonical


@pytest.mark.parametrize(
    "changes, column, value",
    [
        pytest.param({"state_province": None}, "state", "Missouri", id="state"),
        pytest.param({"address_1": " "}, "address_1", "1 Main St", id="street"),
        pytest.param({"state": "Iowa"}, "state", "Missouri", id="the-new-name-wins"),
    ],
)
def test_older_field_names_fill_in(changes: dict[str, Any], column: str, value: str) -> None:
    assert only(**changes)[column] == value


@pytest.mark.parametrize("came, kept", [("Micro", "micro"), (" BREWPUB ", "brewpub"), (None, None)])
def test_brewery_type_is_lower_case(came: str | None, kept: str | None) -> None:
    assert only(brewery_type=came)["brewery_type"] == kept


@pytest.mark.parametrize(
    "came, flag", [("Micro", True), ("beergarden", True), ("moonbase", False), (None, None)]
)
def test_an_unknown_brewery_type_is_kept_and_flagged(came: str | None, flag: bool | None) -> None:
    row = only(brewery_type=came)
    assert (row["brewery_type"], row["known_type"]) == (came.lower() if came else None, flag)


@pytest.mark.parametrize(
    "came, kept",
    [
        pytest.param("5731234567", "5731234567", id="digits"),
        pytest.param("+49 9261 628000", "+499261628000", id="abroad"),
        pytest.param("(647) 347-6286", "6473476286", id="brackets"),
        pytest.param("416.535.4586", "4165354586", id="points"),
        pytest.param("+44 (0)20 7946 0958", "+442079460958", id="the-0-not-dialled-from-abroad"),
        pytest.param("9054445050.0", "9054445050", id="a-spreadsheet-s-decimal"),
        pytest.param(9054445050.0, "9054445050", id="a-number"),
        pytest.param("0.0", "0", id="zero"),
        pytest.param("+27 63 Hey-Joe", "+27 63 Hey-Joe", id="letters-are-kept"),
        pytest.param("12+34", "12+34", id="a-plus-within-is-kept"),
        pytest.param("(-)", "(-)", id="no-digit-is-kept"),
    ],
)
def test_phone(came: object, kept: str) -> None:
    assert only(phone=came)["phone"] == kept


@pytest.mark.parametrize(
    "came, kept",
    [
        pytest.param("http://alt.example/Menu?A=B", "http://alt.example/Menu?A=B", id="as-it-is"),
        pytest.param("HTTP://Www.Alt.Example/Menu", "http://www.alt.example/Menu", id="host"),
        pytest.param("https://Alt.example?Q=1", "https://alt.example?Q=1", id="host-and-query"),
        pytest.param("http://alt.example/", "http://alt.example", id="a-bare-host-has-no-slash"),
        pytest.param("http://alt.example/x/", "http://alt.example/x/", id="a-folder-keeps-its-own"),
        pytest.param("WWW.Alt.example/A", "http://www.alt.example/A", id="no-scheme"),
        pytest.param("http://Bräu.DE", "http://bräu.de", id="beyond-ascii"),
        pytest.param("http://Info@alt.example", "http://Info@alt.example", id="a-user-is-kept"),
        pytest.param("javascript:Alert(1)", "javascript:Alert(1)", id="no-url-is-kept"),
        pytest.param("Alt & Co/", "Alt & Co/", id="words-are-kept"),
    ],
)
def test_website(came: str, kept: str) -> None:
    assert only(website_url=came)["website_url"] == kept


@pytest.mark.parametrize(
    "came, kept",
    [
        pytest.param(49.5, 49.5, id="number"),
        pytest.param(49, 49.0, id="whole-number"),
        pytest.param("49.5", 49.5, id="text"),
        pytest.param(" -49.5 ", -49.5, id="text-with-space"),
        pytest.param("+1.5", 1.5, id="plus"),
        pytest.param("49.", 49.0, id="point-at-the-end"),
        pytest.param("-.5", -0.5, id="point-at-the-start"),
        pytest.param("1e1", 10.0, id="exponent"),
        pytest.param(1e-07, 1e-07, id="small-number"),
        pytest.param("51.17625779999999", 51.17625779999999, id="all-digits"),
        pytest.param(90, 90.0, id="edge"),
        pytest.param("-90", -90.0, id="other-edge"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_coordinates(came: object, kept: float | None) -> None:
    assert only(latitude=came)["latitude"] == kept


@pytest.mark.parametrize(
    "changes, reason",
    [
        pytest.param({"latitude": 90.01}, "latitude: not within -90 to 90", id="latitude-high"),
        pytest.param({"latitude": "-91"}, "latitude: not within -90 to 90", id="latitude-low"),
        pytest.param({"longitude": 181}, "longitude: not within -180 to 180", id="longitude"),
        pytest.param({"longitude": 1e300}, "longitude: not within -180 to 180", id="absurd"),
        pytest.param({"longitude": "9" * 400}, "longitude: not within -180 to 180", id="endless"),
        pytest.param({"latitude": "n/a"}, "latitude: not a number", id="words"),
        pytest.param({"latitude": "49,5"}, "latitude: not a number", id="comma"),
        pytest.param({"latitude": math.nan}, "latitude: not a number", id="nan"),
        pytest.param({"longitude": -math.inf}, "longitude: not a number", id="infinity"),
        pytest.param({"longitude": "0x10"}, "longitude: not a number", id="hexadecimal"),
        pytest.param({"latitude": True}, "latitude: not text", id="boolean"),
        pytest.param({"name": {"en": "Alt"}}, "name: not text", id="object"),
        pytest.param({"phone": ["1"]}, "phone: not text", id="list"),
        pytest.param({"name": "\ud800"}, "name: not text", id="half-a-character"),
        pytest.param({"id": None}, "id: missing", id="no-id"),
        pytest.param({"id": " "}, "id: missing", id="blank-id"),
        pytest.param({"name": "x" * 5000}, "name: longer than 4096 bytes", id="long-name"),
        pytest.param({"country": "é" * 41}, "country: longer than 80 bytes", id="long-country"),
        pytest.param({"state_province": "🍺" * 21}, "state: longer than 80 bytes", id="long-state"),
    ],
)
def test_rejected_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert rejected(BREWERY | changes) == reason


@pytest.mark.parametrize("record", [None, 3, "text", [BREWERY]], ids=repr)
def test_what_is_no_object_is_rejected(record: object) -> None:
    assert rejected(record) == "not a JSON object"


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "id"])
@pytest.mark.parametrize("absent", [True, False], ids=["absent", "null"])
def test_a_null_alone_never_rejects(name: str, absent: bool) -> None:
    record = {key: value for key, value in BREWERY.items() if key != name or not absent}
    if not absent:
        record[name] = None
    assert cleaned(record).silver.num_rows == 1


def test_a_brewery_that_is_nothing_but_an_id_is_kept() -> None:
    assert cleaned({"id": "1"}).silver.num_rows == 1


def test_quarantine_holds_the_record_as_it_came_and_where_it_stood() -> None:
    line = '{"id": "7",  "latitude": "north"}'
    table = clean_lines(['{"id": "1"}'], ['{"id": "2"}', line]).quarantine
    assert table.schema == QUARANTINE_SCHEMA
    assert table.to_pylist() == [
        {"page": 2, "row": 2, "id": "7", "reason": "latitude: not a number", "record": line}
    ]


@pytest.mark.parametrize(
    "names, kept, duplicates",
    [
        pytest.param(["1:a", "1:b"], {"1": "b"}, 1, id="last-wins"),
        pytest.param(["1:a", "2:b", "1:c", "1:d"], {"1": "d", "2": "b"}, 2, id="several"),
        pytest.param(["1:a", " 1 :b"], {"1": "b"}, 1, id="ids-are-trimmed-first"),
        pytest.param(["a:a", "A:b"], {"a": "a", "A": "b"}, 0, id="case-of-an-id-matters"),
    ],
)
def test_duplicates(names: list[str], kept: dict[str, str], duplicates: int) -> None:
    pairs = [name.split(":") for name in names]
    result = cleaned(*({"id": key, "name": name} for key, name in pairs))
    assert {row["id"]: row["name"] for row in result.silver.to_pylist()} == kept
    assert result.duplicates == duplicates


def test_a_rejected_reading_does_not_replace_a_good_one() -> None:
    result = cleaned({"id": "1", "name": "good"}, {"id": "1", "latitude": 99})
    assert [row["name"] for row in result.silver.to_pylist()] == ["good"]
    assert (result.quarantine.num_rows, result.duplicates) == (1, 0)


def test_nothing_comes_of_nothing() -> None:
    result = clean_lines()
    assert (result.silver.num_rows, result.quarantine.num_rows, result.duplicates) == (0, 0, 0)
    assert result.silver.schema == SCHEMA


def test_a_line_that_is_not_json_is_rejected() -> None:
    assert clean_lines(["{"]).quarantine["reason"].to_pylist() == ["not JSON"]


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(["x"])
records = st.dictionaries(st.sampled_from(FIELDS), values)


@settings(deadline=None, max_examples=20)
@given(st.lists(records | values, max_size=12))
def test_no_row_is_lost_whatever_comes(rows: list[object]) -> None:
    result = cleaned(*rows)
    assert result.silver.num_rows + result.quarantine.num_rows + result.duplicates == len(rows)
    assert result.silver.schema == SCHEMA
    assert len(set(result.silver["id"].to_pylist())) == result.silver.num_rows


@settings(deadline=None, max_examples=20)
@given(st.lists(records, min_size=1, max_size=8))
def test_cleaning_what_is_clean_changes_nothing(rows: list[dict[str, Any]]) -> None:
    once = cleaned(*rows).silver
    twice = cleaned(*once.to_pylist())
    assert twice.silver.equals(once)
    assert twice.quarantine.num_rows == 0


@settings(deadline=None, max_examples=20)
@given(st.floats(-90, 90))
def test_a_coordinate_means_the_same_as_text_and_as_number(latitude: float) -> None:
    result = cleaned({"id": "1", "latitude": latitude}, {"id": "2", "latitude": repr(latitude)})
    assert result.silver["latitude"].to_pylist() == [latitude, latitude]


def test_column_types_are_the_declared_ones() -> None:
    assert cleaned(BREWERY).silver.schema.field("longitude").type == pa.float64()
