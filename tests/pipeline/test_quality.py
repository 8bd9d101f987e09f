"""The verdict: good for a good run, and one clear problem for each way to damage it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import parquet
from pipeline.lake import Lake
from pipeline.quality import verify
from tests.brewery_api.breweries import Dirt
from tests.pipeline.conftest import SMALL


def test_a_good_run_has_no_problems_and_its_counts_agree(good_lake: Path) -> None:
    dirt = Dirt.of(SMALL)
    verdict = verify(Lake.at(str(good_lake)))
    assert verdict.problems == []
    assert verdict.run_id == "good"
    assert (verdict.bronze_pages, verdict.bronze_rows) == (3, SMALL)
    assert verdict.quarantine_rows == dirt.rejectable
    assert verdict.duplicate_rows == dirt.duplicates
    assert verdict.silver_rows == SMALL - dirt.rejectable - dirt.duplicates
    assert verdict.breweries == verdict.silver_rows
    assert 0 < verdict.gold_rows < 2 * verdict.silver_rows


def test_a_new_lake_has_nothing_to_verify(tmp_path: Path) -> None:
    verdict = verify(Lake.at(str(tmp_path / "none")))
    assert verdict.run_id == ""
    assert "no committed run" in verdict.problems[0]


def test_a_run_that_is_not_there_misses_every_layer(good_lake: Path) -> None:
    layers = [problem.split(":")[0] for problem in verify(Lake.at(str(good_lake)), "no").problems]
    assert layers == ["bronze", "silver", "gold"]


def test_a_damaged_pointer_is_a_problem(lake: Path) -> None:
    (lake / "current.json").write_text("{")
    assert "current.json is damaged" in verify(Lake.at(str(lake))).problems[0]


def first(lake: Path, pattern: str) -> Path:
    return min(lake.glob(pattern))


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def set_json(path: Path, **values: object) -> None:
    edit(path, lambda text: json.dumps(json.loads(text) | values))


def drop_rows(path: Path) -> None:
    path.write_bytes(parquet.encode(parquet.decode(path.read_bytes()).slice(1)))


def set_first(path: Path, name: str, value: object) -> None:
    """Give the first row of a Parquet file another value, without changing its schema."""
    table = parquet.decode(path.read_bytes())
    column = pa.array([value, *table[name].to_pylist()[1:]], table.schema.field(name).type)
    index = table.schema.get_field_index(name)
    path.write_bytes(parquet.encode(table.set_column(index, pa.field(name, column.type), column)))


def drop_column(path: Path) -> None:
    table = parquet.decode(path.read_bytes())
    path.write_bytes(parquet.encode(table.select(table.column_names[1:])))


def twice(path: Path) -> None:
    shutil.copy(path, path.with_name("part-1.parquet"))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "page-gone": (lambda lake: first(lake, "bronze/*/page*").unlink(), "missing from the lake"),
    "page-torn": (lambda lake: first(lake, "bronze/*/page*").write_bytes(b""), "checksum"),
    "manifest-gone": (lambda lake: first(lake, "bronze/*/man*").unlink(), "manifest.json is miss"),
    "manifest-torn": (
        lambda lake: edit(first(lake, "bronze/*/man*"), lambda t: t[:50]),
        "not JSON",
    ),
    "manifest-bare": (lambda lake: first(lake, "bronze/*/man*").write_text("{}"), "lacks"),
    "source-changed": (
        lambda lake: set_json(first(lake, "bronze/*/man*"), source_total=SMALL + 1),
        "the source changed while it was read",
    ),
    "partition-gone": (lambda lake: first(lake, "silver/**/part*").unlink(), "silver_rows is"),
    "partition-torn": (lambda lake: first(lake, "silver/**/part*").write_bytes(b"PAR"), "silver:"),
    "partition-twice": (lambda lake: twice(first(lake, "silver/**/part*")), "more than once"),
    "id-lost": (
        lambda lake: set_first(first(lake, "silver/**/part*"), "id", None),
        "field 'id' with null",
    ),
    "coordinate-nan": (
        lambda lake: set_first(first(lake, "silver/**/part*"), "latitude", math.nan),
        "a latitude is not within -90 to 90",
    ),
    "coordinate-far": (
        lambda lake: set_first(first(lake, "silver/**/part*"), "longitude", -180.5),
        "a longitude is not within -180 to 180",
    ),
    "quarantine-schema": (lambda lake: drop_column(first(lake, "silver/*/quar*")), "declared"),
    "rows-lost": (lambda lake: drop_rows(first(lake, "silver/**/part*")), "silver_rows is"),
    "quarantine-gone": (lambda lake: first(lake, "silver/*/quar*").unlink(), "quarantine.parquet"),
    "quarantine-lost": (lambda lake: drop_rows(first(lake, "silver/*/quar*")), "quarantine_rows"),
    "duplicates-forgotten": (
        lambda lake: set_json(first(lake, "silver/*/counts.json"), duplicate_rows=0),
        "conservation",
    ),
    "counts-no-numbers": (
        lambda lake: set_json(first(lake, "silver/*/counts.json"), duplicate_rows="x"),
        "silver: ValueError",
    ),
    "csv-gone": (lambda lake: first(lake, "gold/*/*.csv").unlink(), ".csv is missing"),
    "csv-edited": (
        lambda lake: edit(first(lake, "gold/*/*.csv"), lambda text: text.replace("micro", "bar")),
        "breweries_by_city.csv and breweries_by_city.parquet differ",
    ),
    "json-torn": (lambda lake: edit(first(lake, "gold/*/*.json"), lambda t: t[:99]), "gold:"),
    "gold-rows-lost": (lambda lake: drop_rows(first(lake, "gold/*/*.parquet")), "gold: breweries"),
}


@pytest.mark.parametrize("damage, says", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named(lake: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(lake)
    problems = verify(Lake.at(str(lake))).problems
    assert any(says in problem for problem in problems), problems
    assert not any("\n" in problem for problem in problems)
