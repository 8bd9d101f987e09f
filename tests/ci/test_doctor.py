from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from ci import doctor
from ci.command_line import parse
from engine import requirements
from tests.ci import ROOT

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture(autouse=True)
def a_good_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root on Linux with room, every package and no container runtime."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("BREWERY_CSV", raising=False)
    monkeypatch.setattr(doctor, "answering_runtime", lambda: None)
    monkeypatch.setattr(requirements, "PACKAGES", {"sh": "dash"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 0, 20 * 1024**3))


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = doctor.main(parse(["doctor"], ROOT), ROOT)
    return code, capsys.readouterr().out


def test_a_good_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = examined(capsys)
    assert code == 0 and "LACK" not in text
    assert "embedded engine: its packages are there" in text
    assert "environment ci: not made yet" in text


def test_missing_packages_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "PACKAGES", {"no-such-program": "crun"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, text = examined(capsys)
    assert code == 3
    assert "LACK  embedded engine: lacks crun" in text
    assert "→ apt-get install --yes --no-install-recommends crun" in text


def test_where_a_runtime_answers_the_embedded_engine_is_not_vital(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "PACKAGES", {"no-such-program": "crun"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(doctor, "answering_runtime", lambda: "docker")
    code, text = examined(capsys)
    assert code == 0
    assert "container runtime: docker answers" in text and "note  embedded engine" in text


def test_a_disk_that_is_too_small_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 0, 1024**3))
    code, text = examined(capsys)
    assert code == 3 and "LACK  disk: 1 GB free" in text and "XDG_CACHE_HOME" in text


def test_settings_that_cannot_be_meant_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BREWERY_CSV", "/no/such/file.csv")
    code, text = examined(capsys)
    assert code == 3 and "BREWERY_CSV names /no/such/file.csv" in text


def test_a_machine_without_git_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **rest: None if name == "git" else real(name, **rest)
    )
    code, text = examined(capsys)
    assert code == 0 and "note  git: not there" in text and "install --yes git" in text
