"""Gold counts, in three formats that say the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import gold, parquet

COLUMNS = ["country", "state", "city", "brewery_type"]
Row = tuple[str | None, str | None, str | None, str | None]


def table(rows: list[Row]) -> Any:
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return pa.table([pa.array(column, pa.string()) for column in columns], names=COLUMNS)


@pytest.mark.parametrize(
    "rows, counted",
    [
        pytest.param([], [], id="nothing"),
        pytest.param([("A", "S", "C", "micro")], [("A", "S", "micro", 1)], id="one"),
        pytest.param(
            [("B", "S", "C", "micro"), ("A", "S", "C", "micro"), ("B", "S", "D", "micro")],
            [("A", "S", "micro", 1), ("B", "S", "micro", 2)],
            id="cities-are-summed-and-countries-sorted",
        ),
        pytest.param(
            [("A", "S", "C", "bar"), ("A", "S", "C", None), ("A", None, "C", "bar")],
            [("A", "S", "bar", 1), ("A", "S", None, 1), ("A", None, "bar", 1)],
            id="unknown-is-counted-and-comes-last",
        ),
        pytest.param(
            [(name, "S", "C", "bar") for name in ("Ä", "a", "Z")],
            [("Z", "S", "bar", 1), ("a", "S", "bar", 1), ("Ä", "S", "bar", 1)],
            id="order-is-by-code-point",
        ),
    ],
)
def test_counts_by_state(rows: list[Row], counted: list[tuple[Any, ...]]) -> None:
    found = gold.aggregate(gold.count(table(rows)), ["country", "state"])
    assert [tuple(row.values()) for row in found.to_pylist()] == counted


def test_csv_json_and_parquet_are_what_others_read(good_lake: Path) -> None:
    folder = good_lake / "gold/run=good"
    with (folder / "breweries_by_city.csv").open(encoding="utf-8", newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_json = json.loads((folder / "breweries_by_city.json").read_text(encoding="utf-8"))
    assert [{name: str(value) for name, value in row.items()} for row in from_json] == from_csv
    assert list(from_csv[0]) == ["country", "state", "city", "brewery_type", "breweries"]


# Silver lets no control character through.
letters = st.characters(codec="utf-8", exclude_categories=["Cc"])
text = st.none() | st.text(letters, min_size=1, max_size=4)


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.tuples(text, text, text, text), max_size=8))
def test_every_format_reads_back_alike_whatever_the_names(rows: list[Row]) -> None:
    counted = gold.aggregate(gold.count(table(rows)), ["country", "state", "city"])
    forms = gold.encode(counted)
    expected = counted.to_pylist()
    assert json.loads(forms["json"]) == parquet.decode(forms["parquet"]).to_pylist() == expected
    # An empty cell is a null: silver holds no empty text.
    texts = [{name: str(value or "") for name, value in row.items()} for row in expected]
    assert list(csv.DictReader(io.StringIO(forms["csv"].decode(), newline=""))) == texts
    assert sum(row["breweries"] for row in expected) == len(rows)


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.tuples(text, text, text, text), max_size=8), st.randoms())
def test_bytes_do_not_depend_on_the_order_of_rows(rows: list[Row], chance: Any) -> None:
    place = ["country", "state", "city"]
    before = gold.encode(gold.aggregate(gold.count(table(rows)), place))
    chance.shuffle(rows)
    assert gold.encode(gold.aggregate(gold.count(table(rows)), place)) == before
