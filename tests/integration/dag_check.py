"""The check of all DAG files, made while the stack starts: a core is idle then."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.verdict import Cause, Failed

_LOG = "dag-files.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class DagCheck:
    """A process that reads every DAG file, and the log that its last line is the result in."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    @contextmanager
    def begun(cls, folder: str, logs: Path) -> Iterator[DagCheck]:
        """The check of `folder`, at work; it ends with this at the latest."""
        logs.mkdir(parents=True, exist_ok=True)
        # The stack goes first: whoever runs it waits for the stack.
        command = ["nice", "-n", "5", sys.executable, "-m", "tests.integration.dag_files", folder]
        log = logs / _LOG
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield cls(process=process, log=log)
        finally:
            process.kill()
            process.wait()

    def result(self, wanted: str, limit: float) -> dict[str, Any]:
        """What there is of each DAG, `wanted` among them; raises Failed for the first problem."""
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise self._failed(f"The DAG files were not read within {limit:g} s.") from None
        lines = self.log.read_text(errors="replace").splitlines()
        try:
            found = json.loads(lines[-1])
        except (ValueError, IndexError):
            message = f"Reading the DAG files ended with status {status}."
            raise self._failed(message, *lines[-12:]) from None
        if found["problems"]:
            (what, *why), more = found["problems"][0], len(found["problems"]) - 1
            raise self._failed(f"{what} ({more} more problems)" if more else what, *why[-12:])
        if wanted not in found["dags"]:
            raise self._failed(f"No file of the DAGs folder defines {wanted}.")
        return dict(found["dags"])

    def _failed(self, message: str, *lines: str) -> Failed:
        return Failed(Cause.CODE, message, log=f"logs/{self.log.name}", lines=lines)
