"""What `prune` takes away, and what it never does."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.claim import Claim
from pipeline.errors import ConflictError, LakeError, UsageError
from pipeline.lake import LAYERS, Lake
from pipeline.retention import Pruned, prune

AT_ONCE = timedelta(0)


def write(lake: Lake, run_id: str) -> None:
    lake.begin(run_id)
    for layer in LAYERS:
        lake.write(f"{lake.folder(layer, run_id)}/below/file", b"data")


def write_runs(lake: Lake, *, committed: str, dead: str = "") -> None:
    for run_id in committed:
        write(lake, run_id)
        lake.commit(run_id)
    for run_id in dead:
        write(lake, run_id)


def left(lake: Lake) -> set[str]:
    files = [file for layer in ("starts", *LAYERS) for file in lake.files(layer)]
    return {file.split("/")[1].removeprefix("run=").removesuffix(".json") for file in files}


def test_the_newest_runs_are_kept(any_lake: Lake) -> None:
    write_runs(any_lake, committed="abcd")
    assert prune(any_lake, keep=2) == Pruned(["a", "b"], [])
    assert any_lake.committed_runs() == ["d", "c"]
    assert left(any_lake) == {"c", "d"}


def test_without_a_number_every_committed_run_is_kept(any_lake: Lake) -> None:
    write_runs(any_lake, committed="ab", dead="c")
    assert prune(any_lake, abandoned_after=AT_ONCE) == Pruned([], ["c"])
    assert (any_lake.committed_runs(), left(any_lake)) == (["b", "a"], {"a", "b"})


def test_what_a_run_left_that_was_killed_as_it_began_is_removed_once_it_is_old(
    tmp_path: Path,
) -> None:
    lake = Lake.at(str(tmp_path))
    write_runs(lake, committed="a")
    old, new = (tmp_path / "starts" / f".{name}.tmp" for name in ("old", "new"))
    for path in (old, new):
        path.write_text("{")
    os.utime(old, (1, 1))
    prune(lake, dry_run=True)
    assert old.exists()
    prune(lake)
    assert (old.exists(), new.exists()) == (False, True)
    assert left(lake) == {"a"}


def test_a_run_that_may_be_under_way_is_kept(any_lake: Lake) -> None:
    write_runs(any_lake, committed="a", dead="b")
    assert prune(any_lake) == Pruned([], [])
    assert left(any_lake) == {"a", "b"}


def test_a_dry_run_says_the_same_and_removes_nothing(any_lake: Lake) -> None:
    write_runs(any_lake, committed="ab", dead="c")
    dry = prune(any_lake, keep=1, abandoned_after=AT_ONCE, dry_run=True)
    assert left(any_lake) == {"a", "b", "c"}
    assert prune(any_lake, keep=1, abandoned_after=AT_ONCE) == dry == Pruned(["a"], ["c"])


def test_what_a_killed_prune_left_goes_with_the_next(any_lake: Lake) -> None:
    write_runs(any_lake, committed="ab")
    any_lake.forget({"a"}, token="killed")
    any_lake.clear("gold/run=a")
    assert prune(any_lake, keep=1, abandoned_after=AT_ONCE) == Pruned([], ["a"])
    assert left(any_lake) == {"b"}


def test_the_current_run_cannot_be_pruned(any_lake: Lake) -> None:
    write_runs(any_lake, committed="a")
    with pytest.raises(UsageError, match="keep 1 or more"):
        prune(any_lake, keep=0)
    any_lake.forget({"a"}, token="x")
    assert any_lake.current_run() == "a"


def test_a_run_found_dead_cannot_be_committed_any_more(any_lake: Lake) -> None:
    write_runs(any_lake, committed="a", dead="b")
    prune(any_lake, abandoned_after=AT_ONCE)
    write(any_lake, "c")
    any_lake.condemn("c")
    with pytest.raises(ConflictError):
        any_lake.commit("c")
    any_lake.begin("c")
    any_lake.commit("c")


def test_nothing_is_pruned_while_a_run_is_writing(any_lake: Lake) -> None:
    write_runs(any_lake, committed="ab")
    with Claim(any_lake, "Run c"), pytest.raises(ConflictError, match="Run c is writing this lake"):
        prune(any_lake, keep=1)
    assert left(any_lake) == {"a", "b"}


def test_folders_that_are_no_runs_stay(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    write_runs(lake, committed="a")
    for name in ("gold/run=../x", "gold/notes", "other/run=b"):
        (tmp_path / name.replace("../", "..")).mkdir(parents=True)
    prune(lake, abandoned_after=AT_ONCE)
    assert sorted(path.name for path in (tmp_path / "gold").iterdir()) == [
        "notes",
        "run=..x",
        "run=a",
    ]
    assert (tmp_path / "other/run=b").exists()


def test_nothing_is_pruned_when_the_pointer_was_lost(lake: Path) -> None:
    (lake / "current.json").unlink()
    with pytest.raises(LakeError, match="good came to a good verdict: restore current.json"):
        prune(Lake.at(str(lake)), abandoned_after=AT_ONCE)
    assert left(Lake.at(str(lake))) == {"good"}


def test_a_lake_with_nothing_but_failed_runs_is_pruned(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    write_runs(lake, committed="", dead="ab")
    lake.write_json("verdict/run=a/verdict.json", {"status": "fail"})
    assert prune(lake, abandoned_after=AT_ONCE) == Pruned([], ["a", "b"])


def test_the_command_says_what_it_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(Lake.at(str(tmp_path)), committed="ab")
    assert main(["prune", "--lake", str(tmp_path), "--keep", "1"]) == 0
    assert json.loads(capsys.readouterr().out) == {"committed": ["a"], "abandoned": []}
