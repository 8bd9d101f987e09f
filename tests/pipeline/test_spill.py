"""What is spilled goes with its process, however that ends, and never that of a living one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline import spill
from pipeline.spill import spill_folder

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pipeline.spill import spill_folder
with spill_folder() as folder:
    open(folder + "/spilled", "w").close()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[str]:
    """A process that spills below `tmp_path` until it is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill, "_NEW", -1.0)
    return subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )


def test_what_a_killed_process_spilled_goes_with_the_next(held: subprocess.Popen[str]) -> None:
    with held:
        assert held.stdout
        folder = Path(held.stdout.readline().strip())
        with spill_folder():
            assert (folder / "spilled").exists(), "a living process lost what it spilled"
        held.kill()
    with spill_folder() as mine:
        assert list(folder.parent.iterdir()) == [Path(mine)]
    assert list(folder.parent.iterdir()) == []


def test_what_is_no_spill_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill, "_NEW", -1.0)
    (tmp_path / "brewline-other").mkdir()
    (tmp_path / "brewline-spill-file").touch()
    (tmp_path / "brewline-spill-link").symlink_to(tmp_path / "brewline-other")
    with spill_folder():
        pass
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"brewline-other", "brewline-spill-file", "brewline-spill-link"}
