"""The verdict: good for a good run, and one clear problem for each way to damage it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import steps
from pipeline.errors import DataError, UsageError
from pipeline.lake import Lake
from pipeline.quality import Verdict, verify
from pipeline.quality.check import Status
from tests.brewery_api.breweries import Brewery, Dirt
from tests.brewery_api.server import BreweryServer, serving
from tests.pipeline.conftest import SMALL
from tests.pipeline.quality.damage import (
    drop_column,
    drop_rows,
    edit,
    first,
    first_for_last,
    rows_of,
    set_column,
    set_first,
    set_json,
    twice,
)


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
    with pytest.raises(UsageError, match="/none holds no committed run to judge: make one"):
        verify(Lake.at(str(tmp_path / "none")))


def test_a_run_that_is_not_there_misses_every_layer(good_lake: Path) -> None:
    layers = [problem.split(":")[0] for problem in verify(Lake.at(str(good_lake)), "no").problems]
    assert layers == ["bronze", "silver", "quarantine", "gold"]


def test_a_damaged_pointer_is_a_problem(lake: Path) -> None:
    (lake / "current.json").write_text("{")
    verdict = verify(Lake.at(str(lake)))
    assert "current.json is damaged" in verdict.problems[0]
    assert verdict.told[0].startswith("The lake fails: ")


def part(lake: Path) -> Path:
    return first(lake, "silver/**/part*")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "page-gone": (lambda lake: first(lake, "bronze/**/page*").unlink(), "missing from the lake"),
    "page-torn": (lambda lake: first(lake, "bronze/**/page*").write_bytes(b""), "checksum"),
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
        "id is null in 1 rows",
    ),
    "coordinate-nan": (
        lambda lake: set_first(first(lake, "silver/**/part*"), "latitude", math.nan),
        "1 values of latitude are not within -90 to 90",
    ),
    "coordinate-far": (
        lambda lake: set_first(first(lake, "silver/**/part*"), "longitude", -180.5),
        "1 values of longitude are not within -180 to 180",
    ),
    "quarantine-schema": (
        lambda lake: drop_column(first(lake, "silver/*/quarantine/*")),
        "page is absent, declared int32",
    ),
    "column-gone": (lambda lake: drop_column(part(lake)), "id is absent and string, declared"),
    "type-changed": (
        lambda lake: set_column(part(lake), "phone", pa.nulls(rows_of(part(lake)), pa.int64())),
        "phone is int64 and string, declared string",
    ),
    "id-of-another-type": (
        lambda lake: set_column(part(lake), "id", pa.array(range(rows_of(part(lake))))),
        "id is int64 and string, declared string",
    ),
    "rejected-for-a-null": (
        lambda lake: set_first(
            first(lake, "silver/*/quarantine/*"), "reason", "address_3: not text"
        ),
        "was rejected for a field that is null",
    ),
    "rejected-twice": (
        lambda lake: first_for_last(first(lake, "silver/*/quarantine/*")),
        "page, row occurs more than once",
    ),
    "rows-lost": (lambda lake: drop_rows(first(lake, "silver/**/part*")), "silver_rows is"),
    "quarantine-gone": (
        lambda lake: first(lake, "silver/*/quarantine/*").unlink(),
        "quarantine is missing",
    ),
    "quarantine-lost": (
        lambda lake: drop_rows(first(lake, "silver/*/quarantine/*")),
        "quarantine_rows",
    ),
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
        "breweries_by_city.csv and the Parquet beside it differ",
    ),
    "json-gone": (lambda lake: first(lake, "gold/*/*.json").unlink(), ".json is missing"),
    "parquet-torn": (
        lambda lake: first(lake, "gold/*/*.parquet").write_bytes(b"PAR1"),
        "breweries_by_city.parquet is not whole Parquet",
    ),
    "json-torn": (
        lambda lake: edit(first(lake, "gold/*/*.json"), lambda t: t[:99]),
        "cannot be read",
    ),
    "gold-rows-lost": (lambda lake: drop_rows(first(lake, "gold/*/*.parquet")), "silver has"),
}


@pytest.mark.parametrize("damage, says", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named(lake: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(lake)
    problems = verify(Lake.at(str(lake))).problems
    assert any(says in problem for problem in problems), problems
    assert not any("\n" in problem for problem in problems)


def test_one_place_in_two_spellings_is_told(lake: Path) -> None:
    place = next(lake.glob("silver/*/breweries/country=Germany/state=Bayern"))
    other = place.with_name("state=BAYERN")
    other.mkdir()
    shutil.copy(place / "part-0.parquet", other)
    warnings = verify(Lake.at(str(lake))).warnings
    assert "silver: Germany/BAYERN and Germany/Bayern differ in case only" in warnings


def test_most_rows_rejected_fail_even_a_first_run(
    tmp_path: Path, small_rows: list[Brewery]
) -> None:
    rows = [row | {"latitude": "north"} for row in small_rows]
    problem = run(tmp_path, rows, "first").problems[0]
    assert problem == "quarantine: 450 of 450 rows are rejected (100.0%)"


def test_a_first_run_is_compared_with_none_and_says_so(good_lake: Path) -> None:
    verdict = verify(Lake.at(str(good_lake)))
    assert verdict.compared_with is None
    assert verdict.checks[-1].status is Status.SKIP
    assert "first run" in verdict.checks[-1].found


def test_a_run_is_compared_with_the_last_good_one_before_it(
    lake: Path, small_rows: list[Brewery]
) -> None:
    run(lake, small_rows, "second")
    assert run(lake, [], "bad").problems
    run(lake, small_rows, "third")
    opened = Lake.at(str(lake))
    compared = {name: verify(opened, name).compared_with for name in opened.committed_runs()}
    assert compared == {"third": "second", "second": "good", "good": None}
    assert verify(opened).warnings == []


def test_a_run_that_lost_most_rows_is_not_committed(lake: Path, small_rows: list[Brewery]) -> None:
    verdict = run(lake, small_rows[:100], "half")
    assert verdict.problems[0].startswith("drift: rows: 444 in run good, now ")
    assert Lake.at(str(lake)).current_run() == "good"
    kept = json.loads((lake / "verdict/run=half/verdict.json").read_text())
    assert (kept["status"], kept["compared_with"]) == ("fail", "good")


def test_a_lake_may_allow_what_the_defaults_do_not(lake: Path, small_rows: list[Brewery]) -> None:
    limits = ("rows_lost", "partitions_lost", "nulls_risen", "duplicates", "quarantined")
    (lake / "limits.toml").write_text("".join(f"{name} = {{}}\n" for name in limits))
    verdict = run(lake, small_rows[:100], "half")
    assert (verdict.problems, verdict.warnings) == ([], [])
    assert Lake.at(str(lake)).current_run() == "half"


def test_a_run_with_a_warning_is_committed(lake: Path, small_rows: list[Brewery]) -> None:
    # The first rows are dirty, and would be rejected.
    rows = [*small_rows[:99], small_rows[99] | {"brewery_type": "meadery"}, *small_rows[100:]]
    verdict = run(lake, rows, "odd")
    assert verdict.warnings == ["silver: 1 breweries are of a type that is not known: meadery"]
    assert Lake.at(str(lake)).current_run() == "odd"


@pytest.mark.parametrize("text", [None, "{", "{}", '{"silver": {"rows": 1}}', '{"silver": []}'])
def test_a_last_run_without_a_verdict_warns(
    lake: Path, small_rows: list[Brewery], text: str | None
) -> None:
    path = lake / "verdict/run=good/verdict.json"
    path.unlink() if text is None else path.write_text(text)
    (warning,) = run(lake, small_rows, "next").warnings
    assert "run good has no verdict to compare with" in warning


def test_a_committed_run_keeps_the_verdict_it_was_committed_by(lake: Path) -> None:
    folder = lake / "verdict/run=good"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    steps.commit(lake=str(lake), run_id="good")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert before.keys() == {"verdict.json", "verdict.html", "quarantine.csv"}


def test_the_verdict_says_in_numbers_what_the_summary_does(good_lake: Path) -> None:
    verdict = verify(Lake.at(str(good_lake)))
    kept = json.loads((good_lake / "verdict/run=good/verdict.json").read_text())
    assert verdict.summary().items() <= kept.items()
    assert kept["silver"]["rows"] == verdict.silver_rows
    assert sum(kept["quarantine"]["reasons"].values()) == verdict.quarantine_rows


@pytest.mark.slow
def test_a_verdict_on_s3_is_the_same(bucket: str, small_rows: list[Brewery]) -> None:
    with serving(BreweryServer(("127.0.0.1", 0), small_rows, too_many_every=0)) as server:
        summary = steps.run(api=server.url, lake=f"{bucket}/lake", run_id="r")
    lake = Lake.at(f"{bucket}/lake")
    assert summary == verify(lake).summary()
    assert summary["status"] == "pass"
    assert [path.rsplit("/")[-1] for path in lake.files("verdict/run=r")] == [
        "quarantine.csv",
        "verdict.html",
        "verdict.json",
    ]


def run(lake: Path, rows: list[Brewery], run_id: str) -> Verdict:
    """Run the pipeline over those rows; the verdict, whether or not the run was committed."""
    with serving(BreweryServer(("127.0.0.1", 0), rows, too_many_every=0)) as server:
        with suppress(DataError):
            steps.run(api=server.url, lake=str(lake), run_id=run_id)
    return verify(Lake.at(str(lake)), run_id)
