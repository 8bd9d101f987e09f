"""What the driver found out, kept as `verdict.json` whatever happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any


class Cause(IntEnum):
    """Whose fault a failure is; the value is the driver's exit code."""

    CODE = 1
    INFRASTRUCTURE = 3
    UPSTREAM = 5


class Failed(Exception):
    """The run failed: one sentence, the lines that matter, and the log that they are from."""

    def __init__(
        self, cause: Cause, message: str, *, log: str = "", lines: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.cause, self.message, self.log, self.lines = cause, message, log, lines


@dataclass(slots=True)
class Verdict:
    """The record of one run; by `run` its reader tells this bring-up from a remembered one."""

    run: str
    steps: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    failure: Failed | None = None
    failed_step: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; the step in which a failure came is part of the record."""
        began = time.monotonic()
        try:
            yield
        except Failed as failure:
            self.failure, self.failed_step = failure, name
            raise
        finally:
            self.steps[name] = round(time.monotonic() - began, 2)

    @property
    def exit_code(self) -> int:
        return int(self.failure.cause) if self.failure else 0

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        record: dict[str, Any] = {
            "passed": self.failure is None,
            "run": self.run,
            "steps": self.steps,
            **self.facts,
        }
        if self.failure:
            record["failure"] = {
                "class": self.failure.cause.name.lower(),
                "step": self.failed_step,
                "message": self.failure.message,
                "log": self.failure.log,
                "lines": list(self.failure.lines),
            }
        path.write_text(json.dumps(record, indent=2) + "\n")
