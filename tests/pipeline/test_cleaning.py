"""A table of cases for each rule of silver."""

from __future__ import annotations

import functools
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


# A call of the engine costs as much as thousands of rows, so all cases are cleaned at once.
CASES: list[str] = []
COSTLY = settings(max_examples=settings().max_examples // 5)


def case(record: object) -> int:
    """Add a record to the cases; returns the row where it stands."""
    CASES.append(json.dumps(record))
    return len(CASES)


def numbered() -> dict[str, object]:
    """A brewery under the number of the next case."""
    return {**BREWERY, "id": str(len(CASES) + 1)}


def brewery(**changes: object) -> int:
    """Add a brewery with these changes; returns the row where it stands."""
    return case(numbered() | changes)


def placed(country: str | None, state: str | None) -> int:
    return brewery(country=country, state_province=state, state=state)


@functools.cache
def all_cleaned() -> tuple[dict[str, dict[str, Any]], dict[int, str]]:
    """The rows of silver by id, and the reasons of quarantine by row."""
    result = clean_lines(CASES)
    silver = {row["id"]: row for row in result.silver.to_pylist()}
    return silver, {row["row"]: row["reason"] for row in result.quarantine.to_pylist()}


def silver(row: int) -> dict[str, Any]:
    """What a brewery became in silver, where it must be."""
    assert rejected(row) is None
    return all_cleaned()[0][str(row)]


def rejected(row: int) -> str | None:
    """Why a case was rejected; None for one that was not."""
    return all_cleaned()[1].get(row)


def cleaned(*records: object) -> Cleaned:
    return clean_lines([json.dumps(record) for record in records])


def test_a_clean_brewery_keeps_every_value() -> None:
    expected = BREWERY | {"known_type": True}
    (row,) = cleaned(BREWERY).silver.to_pylist()
    assert row == {name: expected[name] for name in SCHEMA.names}


@pytest.mark.parametrize(
    "row, kept",
    [
        pytest.param(brewery(name="  Alt "), "Alt", id="trimmed"),
        pytest.param(brewery(name="Alt\t \nBier"), "Alt Bier", id="runs-of-space-are-one"),
        pytest.param(brewery(name="\u00a0Alt\u2003Bier\u3000"), "Alt Bier", id="unicode-space"),
        pytest.param(brewery(name="A\x00lt\x1b"), "A lt", id="control-characters"),
        pytest.param(brewery(name=""), None, id="empty-is-null"),
        pytest.param(brewery(name=" \u00a0 "), None, id="blank-is-null"),
        pytest.param(brewery(name=None), None, id="null-stays"),
        pytest.param(brewery(name="Bra\u0308u"), "Bräu", id="composed"),
        pytest.param(brewery(name="酒造 🍺"), "酒造 🍺", id="any-script"),
        pytest.param(brewery(name=1516), "1516", id="number-becomes-text"),
    ],
)
def test_text(row: int, kept: str | None) -> None:
    assert silver(row)["name"] == kept


@pytest.mark.parametrize(
    "row, canonical",
    [
        pytest.param(
            placed("United States", "MIssouri"), ("United States", "Missouri"), id="MIssouri"
        ),
        pytest.param(placed("South Korea", "Deagu"), ("South Korea", "Daegu"), id="Deagu"),
        pytest.param(
            placed("South Korea", "DEAGU"), ("South Korea", "Daegu"), id="variant-in-capitals"
        ),
        pytest.param(
            placed("united states", "NEW YORK"), ("United States", "New York"), id="case-of-both"
        ),
        pytest.param(placed("USA", "texas"), ("United States", "Texas"), id="country-variant"),
        pytest.param(
            placed("Germany", "THÜRINGEN"), ("Germany", "Thüringen"), id="case-beyond-ascii"
        ),
        pytest.param(placed("Belgium", "Flanders"), ("Belgium", "Vlaanderen"), id="other-language"),
        pytest.param(
            placed("Germany", "Missouri"), ("Germany", "Missouri"), id="state-of-another-country"
        ),
        pytest.param(
            placed("Freedonia", "sylvania"), ("Freedonia", "sylvania"), id="unknown-is-kept"
        ),
        pytest.param(placed(None, "MIssouri"), (None, "MIssouri"), id="no-country"),
        pytest.param(placed("Germany", None), ("Germany", None), id="no-state"),
    ],
)
def test_country_and_state(row: int, canonical: tuple[str | None, str | None]) -> None:
    assert (silver(row)["country"], silver(row)["state"]) == canonical


@pytest.mark.parametrize(
    "row, column, value",
    [
        pytest.param(brewery(state_province=None), "state", "Missouri", id="state"),
        pytest.param(brewery(address_1=" "), "address_1", "1 Main St", id="street"),
        pytest.param(brewery(state="Iowa"), "state", "Missouri", id="the-new-name-wins"),
    ],
)
def test_older_field_names_fill_in(row: int, column: str, value: str) -> None:
    assert silver(row)[column] == value


@pytest.mark.parametrize(
    "row, kept, known",
    [
        pytest.param(brewery(brewery_type="Micro"), "micro", True, id="lower-case"),
        pytest.param(brewery(brewery_type=" BREWPUB "), "brewpub", True, id="trimmed"),
        pytest.param(brewery(brewery_type="beergarden"), "beergarden", True, id="known"),
        pytest.param(brewery(brewery_type="Moonbase"), "moonbase", False, id="unknown"),
        pytest.param(brewery(brewery_type=None), None, None, id="none"),
    ],
)
def test_an_unknown_brewery_type_is_kept_and_flagged(
    row: int, kept: str | None, known: bool | None
) -> None:
    assert (silver(row)["brewery_type"], silver(row)["known_type"]) == (kept, known)


@pytest.mark.parametrize(
    "row, kept",
    [
        pytest.param(brewery(phone="5731234567"), "5731234567", id="digits"),
        pytest.param(brewery(phone="+49 9261 628000"), "+499261628000", id="abroad"),
        pytest.param(brewery(phone="(647) 347-6286"), "6473476286", id="brackets"),
        pytest.param(brewery(phone="416.535.4586"), "4165354586", id="points"),
        pytest.param(
            brewery(phone="+44 (0)20 7946 0958"),
            "+442079460958",
            id="the-0-not-dialled-from-abroad",
        ),
        pytest.param(brewery(phone="9054445050.0"), "9054445050", id="a-spreadsheet-s-decimal"),
        pytest.param(brewery(phone=9054445050.0), "9054445050", id="a-number"),
        pytest.param(brewery(phone="0.0"), "0", id="zero"),
        pytest.param(brewery(phone="+27 63 Hey-Joe"), "+27 63 Hey-Joe", id="letters-are-kept"),
        pytest.param(brewery(phone="12+34"), "12+34", id="a-plus-within-is-kept"),
        pytest.param(brewery(phone="(-)"), "(-)", id="no-digit-is-kept"),
    ],
)
def test_phone(row: int, kept: str) -> None:
    assert silver(row)["phone"] == kept


@pytest.mark.parametrize(
    "row, kept",
    [
        pytest.param(
            brewery(website_url="http://alt.example/Menu?A=B"),
            "http://alt.example/Menu?A=B",
            id="as-it-is",
        ),
        pytest.param(
            brewery(website_url="HTTP://Www.Alt.Example/Menu"),
            "http://www.alt.example/Menu",
            id="host",
        ),
        pytest.param(
            brewery(website_url="https://Alt.example?Q=1"),
            "https://alt.example?Q=1",
            id="host-and-query",
        ),
        pytest.param(
            brewery(website_url="http://alt.example/"),
            "http://alt.example",
            id="a-bare-host-has-no-slash",
        ),
        pytest.param(
            brewery(website_url="http://alt.example/x/"),
            "http://alt.example/x/",
            id="a-folder-keeps-its-own",
        ),
        pytest.param(
            brewery(website_url="WWW.Alt.example/A"), "http://www.alt.example/A", id="no-scheme"
        ),
        pytest.param(brewery(website_url="http://Bräu.DE"), "http://bräu.de", id="beyond-ascii"),
        pytest.param(
            brewery(website_url="http://Info@alt.example"),
            "http://Info@alt.example",
            id="a-user-is-kept",
        ),
        pytest.param(
            brewery(website_url="javascript:Alert(1)"), "javascript:Alert(1)", id="no-url-is-kept"
        ),
        pytest.param(brewery(website_url="Alt & Co/"), "Alt & Co/", id="words-are-kept"),
    ],
)
def test_website(row: int, kept: str) -> None:
    assert silver(row)["website_url"] == kept


@pytest.mark.parametrize(
    "row, kept",
    [
        pytest.param(brewery(latitude=49.5), 49.5, id="number"),
        pytest.param(brewery(latitude=49), 49.0, id="whole-number"),
        pytest.param(brewery(latitude="49.5"), 49.5, id="text"),
        pytest.param(brewery(latitude=" -49.5 "), -49.5, id="text-with-space"),
        pytest.param(brewery(latitude="+1.5"), 1.5, id="plus"),
        pytest.param(brewery(latitude="49."), 49.0, id="point-at-the-end"),
        pytest.param(brewery(latitude="-.5"), -0.5, id="point-at-the-start"),
        pytest.param(brewery(latitude="1e1"), 10.0, id="exponent"),
        pytest.param(brewery(latitude=1e-07), 1e-07, id="small-number"),
        pytest.param(brewery(latitude="51.17625779999999"), 51.17625779999999, id="all-digits"),
        pytest.param(brewery(latitude=90), 90.0, id="edge"),
        pytest.param(brewery(latitude="-90"), -90.0, id="other-edge"),
        pytest.param(brewery(latitude=""), None, id="empty"),
        pytest.param(brewery(latitude=None), None, id="null"),
    ],
)
def test_coordinates(row: int, kept: float | None) -> None:
    assert silver(row)["latitude"] == kept


@pytest.mark.parametrize(
    "row, reason",
    [
        pytest.param(brewery(latitude=90.01), "latitude: not within -90 to 90", id="latitude-high"),
        pytest.param(brewery(latitude="-91"), "latitude: not within -90 to 90", id="latitude-low"),
        pytest.param(brewery(longitude=181), "longitude: not within -180 to 180", id="longitude"),
        pytest.param(brewery(longitude=1e300), "longitude: not within -180 to 180", id="absurd"),
        pytest.param(
            brewery(longitude="9" * 400), "longitude: not within -180 to 180", id="endless"
        ),
        pytest.param(brewery(latitude="n/a"), "latitude: not a number", id="words"),
        pytest.param(brewery(latitude="49,5"), "latitude: not a number", id="comma"),
        pytest.param(brewery(latitude=math.nan), "latitude: not a number", id="nan"),
        pytest.param(brewery(longitude=-math.inf), "longitude: not a number", id="infinity"),
        pytest.param(brewery(longitude="0x10"), "longitude: not a number", id="hexadecimal"),
        pytest.param(brewery(latitude=True), "latitude: not text", id="boolean"),
        pytest.param(brewery(name={"en": "Alt"}), "name: not text", id="object"),
        pytest.param(brewery(phone=["1"]), "phone: not text", id="list"),
        pytest.param(brewery(name="\ud800"), "name: not text", id="half-a-character"),
        pytest.param(brewery(id=None), "id: missing", id="no-id"),
        pytest.param(brewery(id=" "), "id: missing", id="blank-id"),
        pytest.param(brewery(name="x" * 5000), "name: longer than 4096 bytes", id="long-name"),
        pytest.param(brewery(country="é" * 41), "country: longer than 80 bytes", id="long-country"),
        pytest.param(
            brewery(state_province="🍺" * 21), "state: longer than 80 bytes", id="long-state"
        ),
    ],
)
def test_rejected_with_the_reason(row: int, reason: str) -> None:
    assert rejected(row) == reason


@pytest.mark.parametrize("row", [case(record) for record in (None, 3, "text", [BREWERY])])
def test_what_is_no_object_is_rejected(row: int) -> None:
    assert rejected(row) == "not a JSON object"


def without(name: str) -> int:
    return case({key: value for key, value in numbered().items() if key != name})


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(add(name), id=f"{name}-{what}")
        for name in FIELDS
        if name != "id"
        for what, add in (("absent", without), ("null", lambda name: brewery(**{name: None})))
    ],
)
def test_a_null_alone_never_rejects(row: int) -> None:
    assert silver(row)


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


@COSTLY
@given(st.lists(records | values, max_size=12))
def test_no_row_is_lost_whatever_comes(rows: list[object]) -> None:
    result = cleaned(*rows)
    assert result.silver.num_rows + result.quarantine.num_rows + result.duplicates == len(rows)
    assert result.silver.schema == SCHEMA
    assert len(set(result.silver["id"].to_pylist())) == result.silver.num_rows


@COSTLY
@given(st.lists(records, min_size=1, max_size=8))
def test_cleaning_what_is_clean_changes_nothing(rows: list[dict[str, Any]]) -> None:
    once = cleaned(*rows).silver
    twice = cleaned(*once.to_pylist())
    assert twice.silver.equals(once)
    assert twice.quarantine.num_rows == 0


@COSTLY
@given(st.lists(st.floats(-90, 90), max_size=50))
def test_a_coordinate_means_the_same_as_text_and_as_number(latitudes: list[float]) -> None:
    forms: list[list[float] | list[str]] = [latitudes, [repr(number) for number in latitudes]]
    for form in forms:
        records = [{"id": f"{row:02d}", "latitude": value} for row, value in enumerate(form)]
        assert cleaned(*records).silver["latitude"].to_pylist() == latitudes


def test_column_types_are_the_declared_ones() -> None:
    assert cleaned(BREWERY).silver.schema.field("longitude").type == pa.float64()
