"""Whole runs: nothing is lost, equal input gives equal bytes, and only a good run is shown."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline import silver, steps
from pipeline.errors import ConflictError, DataError, LakeError, UpstreamError
from pipeline.lake import Lake
from pipeline.quality import verify
from tests.brewery_api.breweries import Brewery, Dirt, generate, read_csv
from tests.brewery_api.server import Answer, BreweryServer
from tests.pipeline.conftest import SMALL, Serve

BREWERY_CSV = os.environ.get("BREWERY_CSV", "")


def conserved(verdict: dict[str, Any]) -> bool:
    parts = ("silver_rows", "quarantine_rows", "duplicate_rows")
    return bool(verdict["bronze_rows"] == sum(verdict[part] for part in parts))


def contents(lake: Path, layer: str, run_id: str) -> dict[str, bytes]:
    folder = lake / layer / f"run={run_id}"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_12000_dirty_rows_are_all_accounted_for(serve: Serve, tmp_path: Path) -> None:
    rows, dirt = generate(12_000, seed=7), Dirt.of(12_000)
    server = serve(rows, too_many_every=25)
    verdict = steps.run(api=server.url, lake=str(tmp_path), run_id="r")
    assert conserved(verdict)
    assert (verdict["bronze_rows"], verdict["bronze_pages"]) == (12_000, 60)
    assert verdict["duplicate_rows"] == dirt.duplicates == 120
    assert verdict["quarantine_rows"] == dirt.rejectable == 60
    quarantine = silver.read_quarantine(Lake.at(str(tmp_path)), "r")
    assert Counter(quarantine["reason"].to_pylist()) == {
        "latitude: not within -90 to 90": 15,
        "longitude: not within -180 to 180": 15,
        "latitude: not a number": 15,
        "name: not text": 15,
    }
    states = set(silver.read_silver(Lake.at(str(tmp_path)), "r", ["state"])["state"].to_pylist())
    assert states.isdisjoint({"MIssouri", "Deagu", "BAYERN"})
    assert {"Missouri", "Daegu", "Bayern"} <= states


@pytest.mark.skipif(not BREWERY_CSV, reason="BREWERY_CSV names no file")
def test_the_real_data_set_goes_through_whole(serve: Serve, tmp_path: Path) -> None:
    rows = read_csv(Path(BREWERY_CSV))
    verdict = steps.run(api=serve(rows).url, lake=str(tmp_path), run_id="r")
    assert conserved(verdict)
    assert verdict["bronze_rows"] == len(rows)
    assert verdict["duplicate_rows"] == len(rows) - len({row["id"] for row in rows})


@pytest.mark.parametrize("layer", ["silver", "gold"])
def test_running_again_gives_the_same_bytes(api: BreweryServer, lake: Path, layer: str) -> None:
    steps.run(api=api.url, lake=str(lake), run_id="again")
    assert contents(lake, layer, "again") == contents(lake, layer, "good")


def test_steps_run_one_by_one_with_small_arguments(api: BreweryServer, tmp_path: Path) -> None:
    at = {"lake": str(tmp_path), "run_id": "r"}
    planned = steps.plan(api=api.url, lake=str(tmp_path), run_id="r", tasks=2)
    results: list[Any] = [planned, *(steps.extract(**pages, **at) for pages in planned)]
    results += [step(**at) for step in (steps.manifest, steps.silver, steps.gold, steps.commit)]
    assert json.loads(json.dumps(results)) == results
    assert len(json.dumps(results)) < 1000
    assert results[-1]["bronze_rows"] == SMALL


@pytest.mark.parametrize("step", ["manifest", "silver", "gold"])
def test_a_step_without_the_one_before_is_a_lake_error_or_empty(step: str, tmp_path: Path) -> None:
    at = {"lake": str(tmp_path), "run_id": "r"}
    if step == "gold":
        assert set(steps.gold(**at).values()) == {0}
    else:
        with pytest.raises(LakeError, match="missing"):
            getattr(steps, step)(**at)


def test_a_second_try_of_every_step_ends_the_same(api: BreweryServer, tmp_path: Path) -> None:
    at = {"lake": str(tmp_path), "run_id": "r"}
    for _ in range(2):
        for pages in steps.plan(api=api.url, lake=str(tmp_path), run_id="r"):
            steps.extract(**pages, **at)
        for step in (steps.manifest, steps.silver, steps.gold):
            step(**at)
    assert steps.commit(**at) == steps.commit(**at)


@pytest.mark.parametrize("step", [steps.manifest, steps.silver, steps.gold])
def test_a_committed_run_never_changes(lake: Path, step: Any) -> None:
    # Airflow runs a task again when somebody clears it: a success without an effect.
    before = [contents(lake, layer, "good") for layer in ("bronze", "silver", "gold")]
    assert step(lake=str(lake), run_id="good") == {}
    assert [contents(lake, layer, "good") for layer in ("bronze", "silver", "gold")] == before


def test_a_committed_run_has_nothing_to_extract(api: BreweryServer, lake: Path) -> None:
    assert steps.plan(api=api.url, lake=str(lake), run_id="good") == []
    assert api.requests == []


def test_committing_an_old_run_again_does_not_bring_it_back(api: BreweryServer, lake: Path) -> None:
    steps.run(api=api.url, lake=str(lake), run_id="newer")
    steps.commit(lake=str(lake), run_id="good")
    assert Lake.at(str(lake)).current_run() == "newer"


def test_a_run_that_another_overtook_is_not_committed(api: BreweryServer, lake: Path) -> None:
    at = {"lake": str(lake), "run_id": "slow"}
    for pages in steps.plan(api=api.url, lake=str(lake), run_id="slow"):
        steps.extract(**pages, **at)
    steps.run(api=api.url, lake=str(lake), run_id="quick")
    for step in (steps.manifest, steps.silver, steps.gold):
        step(**at)
    with pytest.raises(ConflictError, match="run quick was, while this one was under way"):
        steps.commit(**at)
    assert Lake.at(str(lake)).committed_runs() == ["quick", "good"]


@pytest.mark.parametrize("answer", [Answer(404, b""), Answer(200, b"<html>")], ids=["404", "html"])
def test_a_source_that_fails_half_way_leaves_the_last_good_run(
    api: BreweryServer, lake: Path, answer: Answer
) -> None:
    api.before[3] = lambda: api.spoilt.append((1, lambda *_: answer))
    with pytest.raises(UpstreamError, match="page"):
        steps.run(api=api.url, lake=str(lake), run_id="bad", jobs=1)
    assert Lake.at(str(lake)).current_run() == "good"
    assert verify(Lake.at(str(lake))).problems == []


def test_an_empty_source_is_not_committed(serve: Serve, lake: Path) -> None:
    with pytest.raises(DataError, match="no breweries"):
        steps.run(api=serve([]).url, lake=str(lake), run_id="empty")
    assert Lake.at(str(lake)).current_run() == "good"


def test_one_row_is_enough(serve: Serve, tmp_path: Path, small_rows: list[Brewery]) -> None:
    verdict = steps.run(api=serve(small_rows[-1:]).url, lake=str(tmp_path), run_id="r")
    assert (verdict["silver_rows"], verdict["gold_rows"]) == (1, 2)


def test_a_lake_that_is_no_disk_works_alike(api: BreweryServer, good_lake: Path) -> None:
    url = f"memory://steps-{time.monotonic_ns()}"
    verdict = steps.run(api=api.url, lake=url, run_id="good")
    memory, disk = Lake.at(url), Lake.at(str(good_lake))
    assert verdict["problems"] == []
    for file in disk.files("gold"):
        assert memory.read(file) == disk.read(file)


@pytest.mark.slow
def test_equal_input_gives_equal_bytes_whatever_holds_the_lake(
    api: BreweryServer, good_lake: Path, bucket: str
) -> None:
    steps.run(api=api.url, lake=bucket, run_id="r")
    s3, disk = Lake.at(bucket), Lake.at(str(good_lake))
    for layer in ("silver", "gold"):
        files = disk.files(f"{layer}/run=good")
        assert s3.files(layer) == [file.replace("run=good", "run=r") for file in files]
        for file in files:
            assert s3.read(file.replace("run=good", "run=r")) == disk.read(file), file
