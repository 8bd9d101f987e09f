"""How a container ended: what crun, and the init in the container, tell of it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import EngineError

NOT_STARTED = re.compile(
    rb"(?:ERROR \(catatonit:\d+\): failed to exec pid1|exec container process `/dev/\.init`): "
    rb"(?P<why>[^\r\n]*)\r?\n\Z"
)
"""What the init, or crun before it, writes of a command that cannot be started; it ends with 1."""

# crun's words name folders of the engine's own.
_NOT_MOUNTED = re.compile(r"mount `[^`]*` to `([^`]*)`")


def exit_code(code: int, log: Path, pid_file: Path, what: str) -> int:
    """The exit code that a shell reports for crun's, which a signal may have ended.

    Raises EngineError if crun itself failed: `what` did not start.
    """
    if log.exists() and (said := log.read_text().strip()) and not pid_file.exists():
        said = _NOT_MOUNTED.sub(r"cannot mount at /\1", said)
        raise EngineError(f"{what} did not start: {said}")
    return code if code >= 0 else 128 - code
