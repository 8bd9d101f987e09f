from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ci.console import Console, ended, near, verdict
from ci.errors import Failure
from ci.graph import NOT_ASKED, STAGES
from ci.report import Report
from ci.runner import Outcome
from ci.source import Git
from ci.stage import Result, Status, skipped

FAILED = Result(
    status=Status.FAILED,
    reason="flake8 found fault.",
    failure=Failure.CODE,
    started=0.0,
    seconds=2.25,
    detail="ci/x.py:3:1: F401 [x] unused",
    log=Path("reports/lint/flake8.txt").absolute(),
)


def a_console(*, quiet: bool = False, verbose: bool = False, json: bool = False) -> Console:
    return Console(json=json, quiet=quiet, verbose=verbose)


def a_report(results: dict[str, Result], *, interrupted: bool = False) -> Report:
    return Report(
        folder=Path("reports").absolute(),
        run_id="r",
        version="0",
        git=Git(commit=None, branch=None),
        stand_ins=("python:3.11-slim",),
        moved_packages={"python:3.11-slim": ["tzdata 1 -> 2", "zlib1g 3 -> 4"]},
        outcome=Outcome(results=results, interrupted=interrupted),
        seconds=3.0,
    )


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result(started=0.0, seconds=1.26), "lint: passed in 1.3 s"),
        (Result(started=0.0, seconds=0.1, cached=True), "lint: passed in 0.1 s (cached)"),
        (skipped("because"), "lint: skipped: because"),
        (FAILED, "lint: failed in 2.2 s: flake8 found fault."),
        (
            replace(FAILED, retried="disk full"),
            "lint: failed in 2.2 s at the second try (first: disk full): flake8 found fault.",
        ),
        (
            replace(FAILED, retried=FAILED.reason),
            "lint: failed in 2.2 s at both tries: flake8 found fault.",
        ),
    ],
)
def test_a_stages_last_line(result: Result, line: str) -> None:
    assert ended("lint", result) == line


def test_a_failing_stage_ends_with_what_failed_and_where_its_log_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = a_console()
    console.watch("lint", None)
    console.watch("lint", FAILED)
    assert capsys.readouterr().out.splitlines() == [
        "lint: started",
        "lint: failed in 2.2 s: flake8 found fault.",
        "  ci/x.py:3:1: F401 [x] unused",
        "  log: reports/lint/flake8.txt",
    ]


def test_quiet_says_only_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    console = a_console(quiet=True)
    console.line("Engine: embedded")
    console.watch("test", None)
    console.watch("test", Result(started=0.0))
    console.watch("lint", FAILED)
    assert capsys.readouterr().out.startswith("lint: failed")


def test_a_stage_nobody_asked_for_is_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    a_console().watch("test", skipped(NOT_ASKED))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("verbose", "expected"), [(True, "lint: mypy …\n"), (False, "")])
def test_what_a_stage_does_is_said_when_asked_for(
    capsys: pytest.CaptureFixture[str], verbose: bool, expected: str
) -> None:
    a_console(verbose=verbose).say("lint", "mypy …")
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("quiet", "expected"), [(True, ""), (False, "lint: waits\n")])
def test_what_the_user_must_know_is_told_unless_the_run_is_quiet(
    capsys: pytest.CaptureFixture[str], quiet: bool, expected: str
) -> None:
    a_console(quiet=quiet).tell("lint", "waits")
    assert capsys.readouterr().out == expected


def test_with_json_standard_output_stays_free(capsys: pytest.CaptureFixture[str]) -> None:
    a_console(json=True).watch("lint", FAILED)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("lint: failed")


def test_no_live_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = a_console()
    with console.live():
        console.watch("lint", None)
        console.watch("lint", Result(started=0.0))
    assert "\x1b" not in capsys.readouterr().out


def test_a_terminal_gets_a_live_line_for_each_running_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    console = a_console()
    with console.live():
        console.watch("lint", None)
        console.say("lint", "mypy …")
        console.watch("test", None)
    shown = capsys.readouterr().out
    assert "lint" in shown and "mypy …" in shown and "test" in shown
    assert "started" not in shown


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (a_report({stage.name: Result() for stage in STAGES}), "Passed in 3.0 s."),
        (a_report({"lint": FAILED}), "Failed after 3.0 s: lint (code)."),
        (a_report({"lint": FAILED}, interrupted=True), "Interrupted after 3.0 s."),
    ],
)
def test_the_verdict(report: Report, line: str) -> None:
    assert verdict(report) == line


def test_the_last_lines_name_stand_ins_and_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    a_console().close(a_report({"lint": Result()}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Stand-in images: python:3.11-slim"
    assert lines[1] == (
        "The archive has other packages for python:3.11-slim than are pinned:"
        " tzdata 1 -> 2, zlib1g 3 -> 4; run `images lock --stand-ins`"
    )
    assert lines[-1] == "Report: reports/summary.json"


def test_paths_are_told_as_seen_from_here(tmp_path: Path) -> None:
    assert near(Path.cwd() / "reports" / "x") == "reports/x"
    assert near(tmp_path / "x") == str(tmp_path / "x")
