"""What the security stage makes of what its scanners found."""

from __future__ import annotations

from pathlib import Path

import dagger
import pytest

from ci.errors import CheckFailed, Failure, InfrastructureError
from ci.execs import Checked
from ci.publishing.destination import Destination
from ci.sarif import Finding
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context, Status
from ci.stages.security import CODE, NO_DATABASE, WRITTEN, Scanned, judge, read, summary, unscanned
from tests.ci.test_sarif import result, sarif

ROOT = Path(__file__).parents[2]


def finding(*, path: str = "ci/x.py", line: int = 2, is_grave: bool) -> Finding:
    return Finding(tool="Bandit", rule="B602", grave=is_grave, path=path, line=line, text="shell")


def scanned(*found: Finding, cached: bool = True) -> Scanned:
    return Scanned(findings=found, cached=cached)


def test_grave_finding_fails_the_check_with_file_and_line(tmp_path: Path) -> None:
    log = tmp_path / "findings.txt"
    outcomes = [
        scanned(finding(path="a.py", is_grave=False), finding(path="b.py", line=7, is_grave=True)),
        scanned(),
    ]

    with pytest.raises(CheckFailed) as caught:
        judge(outcomes, log)

    assert caught.value.failure is Failure.CODE
    assert caught.value.message == "1 finding at HIGH or CRITICAL, 1 below HIGH."
    assert caught.value.detail == "b.py:7: Bandit B602: shell"
    assert caught.value.log == log
    assert log.read_text().splitlines() == [
        "b.py:7: Bandit B602: shell",
        "a.py:2: Bandit B602: shell",
    ]


def test_every_grave_finding_of_every_scanner_is_listed(tmp_path: Path) -> None:
    outcomes = [scanned(finding(line=1, is_grave=True)), scanned(finding(line=2, is_grave=True))]

    with pytest.raises(CheckFailed, match="^2 findings at") as caught:
        judge(outcomes, tmp_path / "findings.txt")

    assert len(caught.value.detail.splitlines()) == 2


def test_lesser_findings_pass(tmp_path: Path) -> None:
    result = judge([scanned(finding(is_grave=False)), scanned()], tmp_path / "findings.txt")

    assert result.status is Status.PASSED
    assert result.reason == "1 below HIGH"


def test_broken_scanner_is_raised_after_what_the_others_found_was_written(tmp_path: Path) -> None:
    log = tmp_path / "findings.txt"

    with pytest.raises(InfrastructureError, match="trivy broke"):
        judge([InfrastructureError("trivy broke"), scanned(finding(is_grave=False))], log)

    assert log.read_text() == "ci/x.py:2: Bandit B602: shell\n"


def test_findings_outrank_a_broken_scanner_and_name_it(tmp_path: Path) -> None:
    outcomes: list[Scanned | BaseException] = [
        InfrastructureError("trivy broke"),
        scanned(finding(is_grave=True)),
    ]

    with pytest.raises(CheckFailed) as caught:
        judge(outcomes, tmp_path / "findings.txt")

    assert "trivy broke" in caught.value.detail


def test_missing_database_passes_and_is_said(tmp_path: Path) -> None:
    outcomes = [scanned(), scanned(), Scanned(findings=None, cached=False)]

    result = judge(outcomes, tmp_path / "findings.txt")

    assert result.status is Status.PASSED
    assert result.reason == f"nothing found; {NO_DATABASE}"


def run_that_publishes_to(repository: str, folder: Path) -> Context:
    where = Destination(repository=repository) if repository else None
    return Context(
        client=dagger.Client(),
        root=folder,
        git=Git(commit="a" * 40, branch="main"),
        settings=Settings(github=False, brewery_csv=None, smtp=None, destination=where),
        reports=folder,
        report=folder,
        say=print,
        tell=print,
    )


@pytest.mark.parametrize("repository", ["", "localhost:5000/a"], ids=["not", "on-this-machine"])
def test_image_that_stays_here_may_go_without_a_scan_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repository: str
) -> None:
    scan = unscanned(run_that_publishes_to(repository, tmp_path), tmp_path / "log")

    assert scan.findings is None
    assert capsys.readouterr().out == f"{NO_DATABASE}\n"


def test_image_for_others_does_not_pass_without_a_scan(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with pytest.raises(InfrastructureError, match="not scanned .* is not promoted") as caught:
        unscanned(run_that_publishes_to("ghcr.io/o/r", tmp_path), log)

    assert caught.value.log == log


@pytest.mark.parametrize(
    ("ages", "cached"),
    [
        pytest.param((True, True, False), True, id="nothing changed"),
        pytest.param((True, False, False), False, id="the code changed"),
    ],
)
def test_stage_is_cached_when_its_repeatable_scans_are(
    tmp_path: Path, ages: tuple[bool, ...], cached: bool
) -> None:
    result = judge([scanned(cached=age) for age in ages], tmp_path / "findings.txt")

    assert result.cached is cached


@pytest.mark.parametrize(
    ("grave", "lesser", "complete", "expected"),
    [
        pytest.param(0, 0, True, "nothing found", id="clean"),
        pytest.param(0, 3, True, "3 below HIGH", id="lesser findings"),
        pytest.param(2, 0, True, "2 findings at HIGH or CRITICAL", id="grave findings"),
        pytest.param(0, 0, False, f"nothing found; {NO_DATABASE}", id="no database"),
        pytest.param(0, 1, False, f"1 below HIGH; {NO_DATABASE}", id="lesser, no database"),
    ],
)
def test_summary_never_passes_a_scan_that_did_not_happen_for_a_clean_one(
    grave: int, lesser: int, complete: bool, expected: str
) -> None:
    found = [finding(is_grave=True)] * grave + [finding(is_grave=False)] * lesser

    assert summary(found, complete=complete) == expected


def checked(tmp_path: Path, *, exit_code: int, output: str = "") -> Checked:
    log = tmp_path / "bandit.txt"
    log.write_text(output)
    return Checked(name="bandit", exit_code=exit_code, log=log, cached=True)


def test_scan_that_ended_well_is_read(tmp_path: Path) -> None:
    report = tmp_path / "bandit.sarif"
    report.write_text(sarif(result("B602", "error", "a.py", 1)))

    scan = read(checked(tmp_path, exit_code=0), report)

    assert scan.cached
    assert [found.rule for found in scan.findings or ()] == ["B602"]


def test_scanner_that_broke_is_infrastructure_whatever_it_left_behind(tmp_path: Path) -> None:
    report = tmp_path / "bandit.sarif"
    report.write_text(sarif())

    with pytest.raises(InfrastructureError, match=r"^bandit broke with exit code 2\.$") as caught:
        read(checked(tmp_path, exit_code=2, output="usage: bandit\nno such option"), report)

    assert caught.value.detail.endswith("no such option")


@pytest.mark.parametrize("text", [None, "", "{}"], ids=["missing", "empty", "no runs"])
def test_scan_without_a_report_does_not_pass(tmp_path: Path, text: str | None) -> None:
    report = tmp_path / "bandit.sarif"
    if text is not None:
        report.write_text(text)

    with pytest.raises(InfrastructureError, match="wrote no report"):
        read(checked(tmp_path, exit_code=0), report)


def test_bandit_is_given_every_package_of_the_repository() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages - set(CODE) <= {"tests", "benchmarks"}


def test_trivy_is_given_every_folder_of_the_repository() -> None:
    listed = {pattern.partition("/")[0] for pattern in WRITTEN}
    made_by_tools = {"build", "dist", "lake", "reports"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    }

    assert folders - made_by_tools <= listed
