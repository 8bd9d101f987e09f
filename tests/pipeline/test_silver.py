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


# Other readers take it for null, even where it is written otherwise.
CALLED_LIKE_NULL: tuple[str | None, str | None] = (silver.NULL_PARTITION, "Cork")


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
    write(lake, [*PLACES, CALLED_LIKE_NULL])
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


def pages_of(rows: int, *, again: int) -> list[Page]:
    """Pages of 20 rows; the last ones hold the first `again` ids once more, in other places."""
    records = [
        {"id": f"{number:04d}", "name": "first", "state": f"S{number % 7}", "country": "A=B"}
        for number in range(rows)
    ]
    records += [record | {"name": "again", "state": "elsewhere"} for record in records[:again]]
    records[5] |= {"latitude": "north"}
    lines = [json.dumps(record) for record in records]
    return [
        Page(number, tuple(lines[start : start + 20]))
        for number, start in enumerate(range(0, len(lines), 20), 1)
    ]


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silver, "ROWS_PER_TASK", 140)


def contents(lake: Lake, folder: str) -> dict[str, bytes]:
    return {path: lake.read(path) for path in lake.files(f"silver/run=r/{folder}")}


@pytest.mark.slow
def test_many_tasks_make_what_one_process_makes(lake: Lake, small_tasks: None) -> None:
    land(lake, "r", *pages_of(200, again=60))
    ranges = silver.plan_silver(lake, "r")
    assert (len(ranges), len(silver.silver_buckets(lake, "r"))) == (2, 2)
    # In another order, and some of them twice, as schedulers do.
    for pages in [*reversed(ranges), ranges[0]]:
        silver.clean_range(lake, "r", pages)
    for bucket in [1, 0, 1]:
        silver.merge_bucket(lake, "r", bucket)
    counts = silver.seal_silver(lake, "r")
    apart = contents(lake, "")
    assert silver.write_silver(lake, "r") == counts
    assert contents(lake, "") == apart
    assert counts == {"silver_rows": 200, "quarantine_rows": 1, "duplicate_rows": 59}


def test_how_cleaning_is_divided_does_not_show_in_silver(lake: Lake) -> None:
    land(lake, "r", *pages_of(200, again=60))
    silver.write_silver(lake, "r")
    at_once = contents(lake, "breweries")
    for pages in silver.plan_silver(lake, "r", tasks=5):
        silver.clean_range(lake, "r", pages)
    silver.merge_bucket(lake, "r", 0)
    assert contents(lake, "breweries") == at_once


def test_the_last_page_wins_in_whatever_range_it_is(lake: Lake, small_tasks: None) -> None:
    land(lake, "r", *pages_of(200, again=60))
    silver.write_silver(lake, "r")
    rows = silver.read_silver(lake, "r", ["id", "name", "state"]).to_pylist()
    assert {row["id"] for row in rows if row["name"] == "again"} == {
        f"{number:04d}" for number in range(60)
    }
    assert all((row["state"] == "elsewhere") == (row["name"] == "again") for row in rows)
    assert len(rows) == 200


def test_silver_is_sealed_once_and_nothing_staged_is_left(lake: Lake, small_tasks: None) -> None:
    land(lake, "r", *pages_of(150, again=10))
    counts = silver.write_silver(lake, "r")
    assert lake.files("silver/run=r/staged") == []
    assert silver.seal_silver(lake, "r") == counts == silver.read_counts(lake, "r")


def test_silver_is_not_sealed_before_every_task_is_done(lake: Lake, small_tasks: None) -> None:
    land(lake, "r", *pages_of(150, again=10))
    for pages in silver.plan_silver(lake, "r")[1:]:
        silver.clean_range(lake, "r", pages)
    with pytest.raises(LakeError, match="pages-000001"):
        silver.merge_bucket(lake, "r", 0)
    with pytest.raises(LakeError, match="missing"):
        silver.seal_silver(lake, "r")


def test_a_range_that_was_not_planned_yet_is_a_lake_error(lake: Lake) -> None:
    land(lake, "r", *pages_of(20, again=0))
    with pytest.raises(LakeError, match="plan.json is missing"):
        silver.clean_range(lake, "r", {"first": 1, "last": 1})


def test_a_page_that_is_damaged_is_a_lake_error(lake: Lake) -> None:
    land(lake, "r", *pages_of(100, again=10))
    lake.write(next(path for path in lake.files("bronze") if "page-000003" in path), b"no page")
    with pytest.raises(LakeError, match="page-000003-.* does not match its checksum"):
        silver.write_silver(lake, "r")
    assert lake.files("silver/run=r/breweries") == []
