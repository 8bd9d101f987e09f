"""Run folders and the pointer, on a disk and on a file system that is none."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConflictError, LakeError, StorageError, UsageError
from pipeline.lake import Lake, lake_run_id


def test_a_path_and_a_file_url_are_the_same_lake(tmp_path: Path) -> None:
    assert Lake.at(str(tmp_path)) == Lake.at(f"file://{tmp_path}/")


def test_files_read_back_and_are_listed(any_lake: Lake) -> None:
    any_lake.write("gold/run=a/b c.csv", b"1")
    any_lake.write("gold/run=a/a.csv", b"2")
    assert any_lake.read("gold/run=a/b c.csv") == b"1"
    assert any_lake.files("gold") == ["gold/run=a/a.csv", "gold/run=a/b c.csv"]


def test_a_folder_that_is_not_there_lists_and_clears_as_empty(any_lake: Lake) -> None:
    any_lake.clear("silver/run=a")
    assert any_lake.files("silver/run=a") == []


def test_clear_removes_a_folder_and_nothing_beside_it(any_lake: Lake) -> None:
    any_lake.write("silver/run=a/x", b"")
    any_lake.write("silver/run=ab/x", b"")
    any_lake.clear("silver/run=a")
    assert any_lake.files("silver") == ["silver/run=ab/x"]


def test_a_new_lake_has_no_current_run(any_lake: Lake) -> None:
    assert any_lake.current_run() is None


def test_the_last_commit_is_current_and_earlier_ones_are_remembered(any_lake: Lake) -> None:
    any_lake.commit("a")
    any_lake.commit("b")
    assert any_lake.current_run() == "b"
    assert any_lake.committed_runs() == ["b", "a"]


def test_a_commit_done_again_changes_nothing(any_lake: Lake) -> None:
    any_lake.commit("a")
    any_lake.commit("b")
    before = any_lake.read("current.json")
    any_lake.commit("a")
    assert any_lake.read("current.json") == before


def test_a_run_is_committed_once_it_is(any_lake: Lake) -> None:
    any_lake.commit("a")
    assert any_lake.is_committed("a")
    assert not any_lake.is_committed("b")


def test_what_began_before_another_was_committed_is_refused(any_lake: Lake) -> None:
    any_lake.begin("a")
    any_lake.begin("b")
    any_lake.commit("b")
    with pytest.raises(ConflictError, match="run b was, while this one was under way"):
        any_lake.commit("a")
    assert any_lake.committed_runs() == ["b"]
    any_lake.begin("a")
    any_lake.commit("a")
    assert any_lake.committed_runs() == ["a", "b"]


def test_a_run_goes_on_with_what_it_left_unless_another_was_committed(any_lake: Lake) -> None:
    any_lake.begin("a")
    any_lake.write("bronze/run=a/page", b"1")
    any_lake.begin("a")
    assert any_lake.files("bronze") == ["bronze/run=a/page"]
    any_lake.commit("b")
    any_lake.begin("a")
    assert any_lake.files("bronze") == []


def test_a_commit_that_another_came_before_is_judged_anew(any_lake: Lake) -> None:
    any_lake.begin("a")
    others = iter(["b"])
    with pytest.raises(ConflictError):
        # Between the pointer's reading and its change, another run is committed.
        any_lake.commit("a", require=lambda: any_lake.commit(next(others, "b")))
    assert any_lake.committed_runs() == ["b"]


def test_a_fence_stops_a_commit_under_way_and_changes_nothing_else(any_lake: Lake) -> None:
    any_lake.commit("a")
    asked: list[str] = []

    def require() -> None:
        if asked:
            raise ConflictError("no longer ours")
        asked.append("once")
        any_lake.fence("token")

    with pytest.raises(ConflictError, match="no longer ours"):
        any_lake.commit("b", require=require)
    assert any_lake.committed_runs() == ["a"]


def test_many_commits_at_once_are_all_kept(any_lake: Lake) -> None:
    runs = [f"run-{number}" for number in range(6)]
    with ThreadPoolExecutor(max_workers=6) as pool:
        list(pool.map(any_lake.commit, runs))
    assert sorted(any_lake.committed_runs()) == runs


def test_a_commit_leaves_only_the_pointer_and_its_lock_behind(tmp_path: Path) -> None:
    Lake.at(str(tmp_path)).commit("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "current.json"]


def test_a_commit_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    lake.commit("a")
    # A folder where the new pointer is first written: the write fails as on a full disk.
    (tmp_path / ".current.json.tmp").mkdir()
    with pytest.raises(StorageError):
        lake.commit("b")
    assert lake.current_run() == "a"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": "a"}', '{"runs": [1]}', "{}"])
def test_a_damaged_pointer_is_a_lake_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "current.json").write_text(text)
    with pytest.raises(LakeError, match="current.json"):
        Lake.at(str(tmp_path)).current_run()


@pytest.mark.parametrize("url", ["", "  ", "nosuch://x", "s4://x"])
def test_a_url_that_fsspec_does_not_know_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Lake.at(url)


@pytest.mark.parametrize("run_id", ["", "..", "../x", "a/b", ".a", "a b", "é", "a" * 129, "a\n"])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UsageError, match="run id"):
        Lake.at(str(tmp_path)).folder("bronze", run_id)


@pytest.mark.parametrize("run_id", ["a", "20260101T000000Z", "manual_1.2-x", "9" * 128])
def test_a_legal_dag_run_id_is_the_lakes_run_id(run_id: str) -> None:
    assert lake_run_id(run_id) == run_id


@given(st.text(max_size=200))
def test_any_dag_run_id_becomes_a_legal_run_id(dag_run_id: str) -> None:
    Lake.at("memory://x").folder("bronze", lake_run_id(dag_run_id))


def test_dag_run_ids_that_differ_in_one_sign_stay_apart() -> None:
    ahead, behind = (f"manual__2026-01-01T00:00:00{sign}01:00" for sign in "+-")
    assert lake_run_id(ahead) != lake_run_id(behind)


def test_json_is_readable_text(any_lake: Lake) -> None:
    any_lake.write_json("x.json", {"state": "Thüringen"})
    assert "Thüringen" in any_lake.read("x.json").decode()
    assert any_lake.read_json("x.json") == json.loads(any_lake.read("x.json"))
