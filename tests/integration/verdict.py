"""What the driver found out, kept as `verdict.json` whatever happens."""

from __future__ import annotations

import json
import time
import traceback
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
    """The record of one run; `last_step` is the one that was begun last."""

    steps: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    failure: Failed | None = None
    last_step: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; the step in which a failure came is part of the record."""
        began, self.last_step = time.monotonic(), name
        try:
            yield
        finally:
            self.steps[name] = round(time.monotonic() - began, 2)

    def fail(self, error: Exception) -> None:
        """Have the run failed; what is no finding is the driver's own fault, and no pass either."""
        if isinstance(error, Failed):
            self.failure = error
            return
        lines = "".join(traceback.format_exception(error)).splitlines()
        said = f"The driver itself is at fault, {type(error).__name__}: {error}"
        cause = Cause.CODE
        if isinstance(error, OSError):
            said, cause = f"The driver's machine is at fault: {error}", Cause.INFRASTRUCTURE
        self.failure = Failed(cause, said, lines=tuple(lines[-12:]))

    @property
    def exit_code(self) -> int:
        return int(self.failure.cause) if self.failure else 0

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        record: dict[str, Any] = {
            "passed": self.failure is None,
            "steps": self.steps,
            **self.facts,
        }
        if self.failure:
            record["failure"] = {
                "class": self.failure.cause.name.lower(),
                "step": self.last_step,
                "message": self.failure.message,
                "log": self.failure.log,
                "lines": list(self.failure.lines),
            }
        path.write_text(json.dumps(record, indent=2) + "\n")
