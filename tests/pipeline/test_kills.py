"""Runs killed at random points: readers never notice, and the next run heals what is left."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import steps
from pipeline.lake import LAYERS, Lake
from pipeline.quality import verify
from pipeline.retention import prune
from tests.brewery_api.server import BreweryServer
from tests.pipeline.processes import Run

KILLS = [
    pytest.param(5, marks=[pytest.mark.slow, pytest.mark.timeout(600)], id="5-kills"),
    pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(3600)], id="50-kills"),
]


def contents(lake: Lake, run_id: str) -> dict[str, bytes]:
    """What must be the same whenever the source is."""
    files = [f for layer in ("silver", "gold") for f in lake.files(lake.folder(layer, run_id))]
    return {file.replace(run_id, "", 1): lake.read(file) for file in files}


def good(lake: Lake) -> str:
    """The current run, which is whole."""
    verdict = verify(lake)
    assert verdict.problems == []
    return verdict.run_id


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("place", ["disk", "s3"])
def test_a_run_killed_anywhere_leaves_the_last_good_lake(
    api: BreweryServer, kills: int, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path) if place == "disk" else f"{request.getfixturevalue('bucket')}/lake"
    lake, seed = Lake.at(url), random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Run(api.url, lake, "whole") as whole:
        whole.wait_until_it_writes()
        began = time.monotonic()
        assert whole.end()[0] == 0
        seconds = time.monotonic() - began
    expected, last, unfinished = contents(lake, "whole"), "whole", 0
    for number in range(kills):
        run_id = f"killed-{number}"
        with Run(api.url, lake, run_id) as run:
            run.wait_until_it_writes()
            time.sleep(chance.uniform(0, seconds))
        assert good(lake) in (last, run_id)
        # The machine's load changes how long a run takes: most blows are to fall within it.
        ended = lake.is_committed(run_id)
        unfinished += not ended
        seconds *= 0.7 if ended else 1.1
        # A number decides who comes next, so that each heals what the other did not see.
        heirs = [run_id, f"next-{number}"][:: chance.choice([1, -1])]
        for heir in heirs:
            steps.run(api=api.url, lake=url, run_id=heir, rate=0)
            assert contents(lake, heir) == expected
        last = good(lake)
    assert unfinished >= kills // 3, "too few were killed before their end"


@pytest.mark.slow
def test_what_dead_runs_left_is_found_and_removed(api: BreweryServer, tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    steps.run(api=api.url, lake=str(tmp_path), run_id="good", rate=0)
    for number in range(3):
        with Run(api.url, lake, f"dead-{number}") as run:
            run.wait_until_it_writes()
            time.sleep(0.1 * number)
    prune(lake, abandoned_after=timedelta(0))
    runs = {path.name for layer in LAYERS for path in (tmp_path / layer).iterdir()}
    assert runs == {f"run={run}" for run in lake.committed_runs()}
    assert [path for path in tmp_path.rglob("*.tmp") if path.parent != tmp_path] == []
    assert good(lake)
