from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ci import report
from ci.engine import Engine
from ci.errors import Failure, UsageError
from ci.graph import STAGES
from ci.report import Report
from ci.runner import Outcome
from ci.source import Git
from ci.stage import Image, Result, Status
from tests.ci import ROOT

SCHEMA = json.loads((ROOT / "ci" / "report.schema.json").read_text())
GIT = Git(commit="0123456789" * 4, branch="main")


def a_report(folder: Path, results: dict[str, Result] | None = None) -> Report:
    return Report(
        folder=folder,
        run_id="r1",
        version="0.0.4",
        git=GIT,
        engine=Engine(name="embedded", version="v0.21.11", why="no container runtime answers"),
        stand_ins=("python:3.11-slim-bookworm",),
        moved_packages={"python:3.11-slim-bookworm": ["tzdata 1 -> 2"]},
        outcome=Outcome(results=results or {}),
    )


def all_passed() -> dict[str, Result]:
    return {stage.name: Result(started=0.5, seconds=1.25, cached=True) for stage in STAGES}


def written(record: Report) -> dict[str, Any]:
    record.write()
    found = json.loads(record.summary.read_text())
    jsonschema.validate(found, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert isinstance(found, dict)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_passed_run_is_recorded_whole(tmp_path: Path) -> None:
    results = all_passed()
    image = Image(reference="brewline:sha-0123456", digest="sha256:" + "ab" * 32, tags=("x",))
    results["build"] = Result(image=image, artifacts=("build/checks.txt",), started=0.1)
    found = written(a_report(tmp_path, results))
    assert (found["status"], found["failure"], found["exit_code"]) == ("passed", None, 0)
    assert found["image"] == {"reference": image.reference, "digest": image.digest, "tags": ["x"]}
    assert found["moved_packages"] == {"python:3.11-slim-bookworm": ["tzdata 1 -> 2"]}
    assert found["engine"]["why"] == "no container runtime answers"
    assert [stage["name"] for stage in found["stages"]] == [stage.name for stage in STAGES]
    assert found["stages"][0]["cached"] is True
    assert found["stages"][2]["artifacts"] == ["build/checks.txt"]


def test_a_failed_run_names_the_class(tmp_path: Path) -> None:
    results = all_passed()
    results["test"] = Result(
        status=Status.FAILED, failure=Failure.CODE, reason="2 failed", detail="x:1"
    )
    found = written(a_report(tmp_path, results))
    assert (found["status"], found["failure"], found["exit_code"]) == ("failed", "code", 1)
    assert found["stages"][1]["detail"] == "x:1"


def test_a_run_that_has_not_ended_lists_what_it_did_not_reach(tmp_path: Path) -> None:
    found = written(a_report(tmp_path, {"lint": Result(started=0.0, seconds=1.0)}))
    assert found["status"] == "cancelled"
    assert found["stages"][1]["status"] == "cancelled"
    assert found["stages"][1]["reason"] == "the run did not get here"


def test_notify_finds_the_verdict_in_the_record_before_it_has_ended_itself(tmp_path: Path) -> None:
    results = all_passed()
    del results["notify"]
    assert written(a_report(tmp_path, results))["status"] == "passed"


def test_an_interrupted_run_is_cancelled(tmp_path: Path) -> None:
    record = a_report(tmp_path, all_passed())
    record.outcome.interrupted = True
    found = written(record)
    assert (found["status"], found["exit_code"]) == ("cancelled", 130)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("commit",), "abc"),
        (("stages", 0, "status"), "ok"),
        (("stages", 0, "cached"), "yes"),
        (("engine", "name"), "docker"),
        (("failure",), "bug"),
    ],
)
def test_the_schema_refuses_what_no_run_writes(
    tmp_path: Path, path: tuple[str | int, ...], value: str
) -> None:
    found = written(a_report(tmp_path, all_passed()))
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, SCHEMA)


def test_an_earlier_runs_artifacts_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    report.prepare(folder)
    (folder / "lint").mkdir()
    (folder / "lint" / "mypy.txt").touch()
    report.first_try(folder / "lint").mkdir()
    (folder / "summary.json").touch()
    report.prepare(folder)
    assert [path.name for path in folder.iterdir()] == [report.MARK]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "precious").touch()
    with pytest.raises(UsageError, match="another folder"):
        report.prepare(tmp_path)
    assert (tmp_path / "build" / "precious").exists()


def test_a_file_is_no_report_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="name a folder"):
        report.prepare(tmp_path / "file")


def test_artifacts_are_what_a_stage_left(tmp_path: Path) -> None:
    (tmp_path / "test" / "coverage").mkdir(parents=True)
    (tmp_path / "test" / "junit.xml").touch()
    assert report.artifacts(tmp_path, "test") == ("test/coverage/", "test/junit.xml")
    assert report.artifacts(tmp_path, "lint") == ()
    report.first_try(tmp_path / "test").mkdir()
    assert report.artifacts(tmp_path, "test")[-1] == "test-first-try/"


def test_the_run_id_is_githubs_own_there_and_unique_elsewhere() -> None:
    assert report.run_id({"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "2"}) == "77-2"
    assert report.run_id({}) != report.run_id({})
