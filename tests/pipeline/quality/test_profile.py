"""Silver's profile: what is counted, and where the breweries are put on the map."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import parquet
from pipeline.lake import Lake
from pipeline.quality import profile as module
from pipeline.quality.charts import world_map
from pipeline.quality.profile import Profile, profile


def silver(lake: Lake, folder: str, **columns: list[Any]) -> str:
    """A file of silver with those columns, and an id for each row."""
    rows = max(map(len, columns.values()))
    ids = columns.pop("id", [f"{folder}-{number}" for number in range(rows)])
    path = f"breweries/{folder}/part-0.parquet"
    coordinates = {name: pa.nulls(rows, pa.float64()) for name in ("longitude", "latitude")}
    table = {"id": ids} | coordinates | {"brewery_type": ["micro"] * rows} | columns
    lake.write(path, parquet.encode(pa.table(table)))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


@pytest.mark.parametrize(
    "folder, place",
    [
        ("country=US/state=Ohio", ("US", "Ohio")),
        ("country=A%2FB/state=..%3D%25", ("A/B", "..=%")),
        ("country=__HIVE_DEFAULT_PARTITION__/state=x", (None, "x")),
        ("country=%F0%9F%8D%BA/state=__HIVE_DEFAULT_PARTITION__", ("🍺", None)),
    ],
)
def test_a_place_is_read_from_its_folders(
    empty: Lake, folder: str, place: tuple[str | None, str | None]
) -> None:
    found = profile(empty, [silver(empty, folder, brewery_type=["micro", None])])
    assert found.counts == {(*place, "micro"): 1, (*place, None): 1}
    assert found.partitions() == {place: 2}
    assert found.facts.columns["state"].nulls == (2 if place[1] is None else 0)


def test_breweries_are_counted_in_the_cell_that_they_lie_in(empty: Lake) -> None:
    east = [-180.0, 180.0, 0.1, 0.4, None, math.nan, 5.0, 500.0]
    north = [90.0, -90.0, 0.1, 0.3, 1.0, 1.0, math.inf, 1.0]
    path = silver(empty, "country=A/state=B", longitude=east, latitude=north)
    assert profile(empty, [path]).cells == [(0, 0, 1), (360, 179, 2), (720, 360, 1)]


def test_the_fullest_cells_are_kept_when_a_map_has_no_room(
    empty: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 1)
    path = silver(empty, "country=A/state=B", longitude=[1.0, 9.0, 9.0], latitude=[1.0, 2.0, 2.0])
    assert [count for *_, count in profile(empty, [path]).cells] == [2]


def test_an_id_in_two_partitions_is_repeated(empty: Lake) -> None:
    paths = [
        silver(empty, f"country=A/state={state}", id=["x", state], brewery_type=["bar"] * 2)
        for state in "abcdefghij"
    ]
    assert profile(empty, paths).repeated == ["x"]


def test_a_record_of_a_profile_is_read_back(empty: Lake) -> None:
    paths = [silver(empty, f"country=A/state={state}", phone=["1", None]) for state in "bc"]
    found = profile(empty, paths)
    again = Profile.from_record(json.loads(json.dumps(found.record())))
    assert (again.facts.rows, again.counts) == (4, found.counts)
    assert again.facts.columns["phone"].nulls == 2
    assert again.record() == found.record()


@given(st.lists(st.tuples(st.integers(0, 720), st.integers(0, 360), st.integers(1, 10**9))))
def test_a_map_has_a_dot_for_each_cell(cells: list[tuple[int, int, int]]) -> None:
    assert world_map(cells).count("h0") == len(cells)
