"""The DAG imports without errors or work, and is wired as the data flows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
FILE = ROOT / "dags/brewery_pipeline.py"
ORDER = ["plan", "extract", "manifest", "silver", "gold", "commit"]

# Runs in a process of its own, where nothing else has imported pipeline or pyarrow.
IMPORT_AND_REPORT = """
import json, runpy, sys
import airflow.sdk
acts = []
def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event in ("socket.connect", "subprocess.Popen", "os.mkdir", "os.remove"):
        acts.append([event, str(args[0])])
before = set(sys.modules)
sys.dont_write_bytecode = True
# Once unwatched: what Airflow itself does for the first DAG does not count.
runpy.run_path(sys.argv[1])
sys.addaudithook(watch)
runpy.run_path(sys.argv[1])
imported = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"acts": acts, "heavy": sorted(imported & {"pipeline", "pyarrow", "pandas"})}))
"""


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Any:
    """The DAG as Airflow loads it, with no import error, under this environment alone."""
    from airflow.dag_processing.dagbag import DagBag

    for name in ("BREWERY_API", "BREWERY_LAKE", "BREWERY_SCHEDULE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bag = DagBag(FILE)
    assert bag.import_errors == {}
    assert list(bag.dags) == ["brewery_pipeline"]
    return bag.dags["brewery_pipeline"]


def test_tasks_follow_one_another_as_the_data_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = load(monkeypatch)
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert upstream == {ORDER[0]: set()} | {b: {a} for a, b in zip(ORDER, ORDER[1:], strict=False)}
    dag.check_cycle()


def test_only_extraction_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = load(monkeypatch)
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["extract"]


def test_every_task_has_an_owner_and_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in load(monkeypatch).tasks:
        assert (task.owner, task.retries) == ("data-engineering", 2)


def test_runs_do_not_overlap_or_catch_up_and_are_documented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dag = load(monkeypatch)
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.tags == {"brewery", "lakehouse"}
    assert "quarantine" in dag.doc_md


@pytest.mark.parametrize("value", ["", "none", "None"])
def test_schedule_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert load(monkeypatch, BREWERY_SCHEDULE=value).schedule is None


def test_schedule_is_daily_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch).schedule == "@daily"
    assert load(monkeypatch, BREWERY_SCHEDULE="0 2 * * *").schedule == "0 2 * * *"


def test_params_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    params = load(monkeypatch).params
    assert {name: params[name] for name in params} == {"api": None, "lake": None}
    params.validate()


def test_import_does_no_work_and_loads_no_data_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_REPORT, str(FILE)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {"acts": [], "heavy": []}


def test_the_file_is_wiring_only() -> None:
    assert len(FILE.read_text().splitlines()) < 80
