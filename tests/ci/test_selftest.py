from __future__ import annotations

from pathlib import Path

import pytest

from ci import selftest
from ci.command_line import parse
from ci.environment import Environment
from tests.ci import ROOT


@pytest.fixture
def pytest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dev environment whose Python notes how it was called, and ends as `code` says."""
    environment = Environment(tmp_path / "env", tmp_path / "dev.txt")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/called\necho "$PATH" > {tmp_path}/path\n'
        f"exit $(cat {tmp_path}/code)\n"
    )
    environment.python.chmod(0o755)
    monkeypatch.setattr(Environment, "of", lambda name, root, environ: environment)
    monkeypatch.setattr(Environment, "make", lambda self, say, environ: None)
    (tmp_path / "code").write_text("0")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        pytest.param(["selftest"], "-m pytest -m not soak tests\n", id="usual"),
        pytest.param(["selftest", "--soak"], "-m pytest tests\n", id="soak"),
    ],
)
def test_it_runs_the_projects_tests(pytest_says: Path, arguments: list[str], called: str) -> None:
    assert selftest.main(parse(arguments, ROOT), ROOT) == 0
    assert (pytest_says / "called").read_text() == called
    assert (pytest_says / "path").read_text().startswith(f"{pytest_says}/env/bin:")


@pytest.mark.parametrize("code", ["1", "2", "5"])
def test_whatever_pytest_complains_of_is_a_failed_check(pytest_says: Path, code: str) -> None:
    (pytest_says / "code").write_text(code)
    assert selftest.main(parse(["selftest"], ROOT), ROOT) == 1
