"""What the security stage makes of what its scanners found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import CheckFailed, Failure, InfrastructureError
from ci.execs import Checked
from ci.sarif import Finding
from ci.stages.security import CODE, NO_DATABASE, WRITTEN, read, require_none_grave, summary
from tests.ci.test_sarif import result, sarif

ROOT = Path(__file__).parents[2]


def finding(*, path: str = "ci/x.py", line: int = 2, is_grave: bool) -> Finding:
    return Finding(tool="Bandit", rule="B602", grave=is_grave, path=path, line=line, text="shell")


def test_grave_finding_fails_the_check_with_file_and_line(tmp_path: Path) -> None:
    found = [finding(path="a.py", is_grave=False), finding(path="b.py", line=7, is_grave=True)]

    with pytest.raises(CheckFailed) as caught:
        require_none_grave(found, tmp_path / "findings.txt")

    assert caught.value.failure is Failure.CODE
    assert caught.value.message == "1 finding at HIGH or CRITICAL."
    assert caught.value.detail == "b.py:7: Bandit B602: shell"
    assert caught.value.log == tmp_path / "findings.txt"


def test_every_grave_finding_is_listed(tmp_path: Path) -> None:
    found = [finding(line=line, is_grave=True) for line in (1, 2)]

    with pytest.raises(CheckFailed, match="^2 findings at") as caught:
        require_none_grave(found, tmp_path / "findings.txt")

    assert len(caught.value.detail.splitlines()) == 2


def test_lesser_findings_pass(tmp_path: Path) -> None:
    require_none_grave([finding(is_grave=False)], tmp_path / "findings.txt")


@pytest.mark.parametrize(
    ("count", "complete", "expected"),
    [
        pytest.param(0, True, "nothing found", id="clean"),
        pytest.param(3, True, "3 below HIGH", id="lesser findings"),
        pytest.param(0, False, f"nothing found; {NO_DATABASE}", id="no database"),
        pytest.param(1, False, f"1 below HIGH; {NO_DATABASE}", id="both"),
    ],
)
def test_summary_never_passes_a_scan_that_did_not_happen_for_a_clean_one(
    count: int, complete: bool, expected: str
) -> None:
    assert summary([finding(is_grave=False)] * count, complete=complete) == expected


def checked(tmp_path: Path, *, exit_code: int, output: str = "") -> Checked:
    log = tmp_path / "bandit.txt"
    log.write_text(output)
    return Checked(name="bandit", exit_code=exit_code, log=log, cached=True)


def test_scan_that_ended_well_is_read(tmp_path: Path) -> None:
    report = tmp_path / "bandit.sarif"
    report.write_text(sarif(result("B602", "error", "a.py", 1)))

    scanned = read(checked(tmp_path, exit_code=0), report)

    assert scanned.cached
    assert [found.rule for found in scanned.findings or ()] == ["B602"]


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
