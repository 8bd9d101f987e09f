"""Silver's folders: every row under its own country and state, whatever these are called."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from pipeline import bronze, parquet, silver
from pipeline.cleaning import SCHEMA
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.source import Page
from tests.pipeline.cleaned import clean_lines
from tests.pipeline.landing import land

PLACES: list[tuple[str | None, str | None]] = [
    ("Germany", "Thüringen"),
    ("Ireland", None),
    (None, None),
    (None, "Cork"),
    ("..", "../../etc"),
    ("a=b", "50% / %2F"),
    ("🍺", "."),
    ("Germany", "Bayern"),
    ("South Korea", "Jejudo"),
]


def write(lake: Lake, places: list[tuple[str | None, str | None]]) -> None:
    rows = [
        {"id": f"{number}-{copy}", "country": country, "state": state, "name": "x"}
        for number, (country, state) in enumerate(places)
        for copy in range(3)
    ]
    land(lake, "r", Page(1, tuple(json.dumps(row) for row in rows)))
    silver.write_silver(lake, "r")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def test_silver_reads_back_as_it_was_cleaned(lake: Lake) -> None:
    write(lake, PLACES)
    pages = [lines for _, lines in bronze.read_pages(lake, "r")]
    expected = clean_lines(*pages).silver
    assert silver.read_silver(lake, "r").sort_by("id").equals(expected.sort_by("id"))


def test_other_readers_see_the_same_partitions(lake: Lake) -> None:
    write(lake, PLACES)
    keys = SCHEMA.names[-2:]
    dataset = ds.dataset(
        lake.path("silver/run=r/breweries"),
        schema=SCHEMA,
        partitioning=ds.partitioning(flavor="hive"),
    )
    theirs = dataset.to_table(columns=["id", *keys]).sort_by("id")
    assert theirs.equals(silver.read_silver(lake, "r", ["id", *keys]).sort_by("id"))


def test_hostile_places_stay_inside_the_run(lake: Lake, tmp_path: Path) -> None:
    write(lake, PLACES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bronze", "silver"]
    assert len(lake.files("silver/run=r/breweries")) == len(PLACES)


def test_partitions_of_an_earlier_try_are_gone(lake: Lake) -> None:
    write(lake, PLACES)
    write(lake, PLACES[:1])
    assert lake.files("silver/run=r/breweries") == [
        "silver/run=r/breweries/country=Germany/state=Th%C3%BCringen/part-0.parquet"
    ]


def test_a_run_without_rows_reads_as_an_empty_table(lake: Lake) -> None:
    write(lake, [])
    assert silver.read_silver(lake, "r").equals(SCHEMA.empty_table())


def test_a_file_of_another_schema_is_a_lake_error(lake: Lake) -> None:
    write(lake, PLACES[:1])
    (path,) = lake.files("silver/run=r/breweries")
    table = parquet.decode(lake.read(path))
    column = table.schema.get_field_index("longitude")
    text = table["longitude"].cast("string")
    lake.write(path, parquet.encode(table.set_column(column, "longitude", text)))
    with pytest.raises(LakeError, match="declared schema"):
        silver.read_silver(lake, "r")
