"""Runs in processes of their own, to be killed and to meet each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pipeline.errors import LakeError
from pipeline.lake import Lake

__all__ = ["Run"]

ROOT = Path(__file__).parents[2]


class Run:
    """A run in a process of its own, killed when the block ends."""

    def __init__(self, api: str, lake: Lake, run_id: str) -> None:
        self._lake, self._run_id = lake, run_id
        url = lake.fs.unstrip_protocol(lake.root)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "--api", api, "--lake", url]
            + ["--run-id", run_id, "--rate", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def wait_until_it_writes(self) -> None:
        """Until it claimed the lake: what is killed before that has done nothing."""
        while self._process.poll() is None:
            try:
                if self._lake.read_json("claim.json")["holder"] == f"Run {self._run_id}":
                    return
            except LakeError:
                pass
            time.sleep(0.02)

    def end(self) -> tuple[int, str]:
        """Its exit code and the last line on its standard error."""
        errors = self._process.communicate(timeout=300)[1].decode()
        assert "Traceback" not in errors, errors
        return self._process.returncode, errors.splitlines()[-1]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
