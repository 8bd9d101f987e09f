from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import Failure
from ci.execs import Checked
from ci.stages.test import closing_line, fault

FAILED = """\
tests/test_x.py F.
=================================== FAILURES ===================================
E   assert 1 == 2
=========================== short test summary info ============================
FAILED tests/test_x.py::test_it - assert 1 == 2
==================== 1 failed, 1 passed in 0.12s ====================
"""


def checked(folder: Path, exit_code: int, output: str) -> Checked:
    log = folder / "pytest.txt"
    log.write_text(output)
    return Checked(name="pytest", exit_code=exit_code, log=log, cached=False)


def test_the_closing_line_is_told_without_its_rule() -> None:
    assert closing_line(FAILED) == "1 failed, 1 passed in 0.12s"
    assert closing_line("\n\n") == "no output"


def test_a_failure_names_the_tests_that_failed(tmp_path: Path) -> None:
    error = fault(checked(tmp_path, 1, FAILED))
    assert error.failure is Failure.CODE
    assert error.message == "pytest: 1 failed, 1 passed in 0.12s."
    assert error.detail == "FAILED tests/test_x.py::test_it - assert 1 == 2"


def test_of_many_failures_the_first_are_named(tmp_path: Path) -> None:
    output = "".join(f"FAILED tests/test_x.py::test_{n}\n" for n in range(30)) + FAILED
    lines = fault(checked(tmp_path, 1, output)).detail.splitlines()
    assert len(lines) == 21 and lines[-1] == "… and 11 more"


@pytest.mark.parametrize("code", [134, 139])
def test_a_crash_is_told_from_a_failure(tmp_path: Path, code: int) -> None:
    error = fault(checked(tmp_path, code, "tests/test_x.py ..\n"))
    assert error.failure is Failure.CODE
    assert error.message == f"pytest: it ended with exit code {code} before its summary."
    assert error.detail == "tests/test_x.py .."


def test_a_kill_is_no_verdict_on_the_code(tmp_path: Path) -> None:
    assert fault(checked(tmp_path, 137, "tests/test_x.py ..\n")).failure is Failure.INFRASTRUCTURE


def test_no_tests_at_all_is_a_failure(tmp_path: Path) -> None:
    error = fault(checked(tmp_path, 5, "==== no tests ran in 0.01s ====\n"))
    assert error.message == "pytest: no tests ran in 0.01s."
