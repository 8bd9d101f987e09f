"""What can go wrong in the engine, by cause."""

from __future__ import annotations

import errno
from typing import Any

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""The numbers of the system's errors that tell of a full disk."""

_LONGEST_PATH = 200


class EngineError(Exception):
    """An answer that the client gets as a GraphQL error."""

    def extensions(self) -> dict[str, Any]:
        """What the GraphQL error carries beside its message."""
        return {}


class RefusedField(EngineError):
    """A field of the API that this engine does not have; raised when a query selects it."""

    def __init__(self, type_name: str, field_name: str, why: str = "") -> None:
        reason = f" ({why})" if why else ""
        super().__init__(
            f"{type_name}.{field_name} is not in the embedded engine{reason}; "
            "the real Dagger engine has it: run with --engine dagger or a runner host"
        )


class ExecError(EngineError):
    """A command that failed, or that could not be started (then `exit_code` is -1)."""

    def __init__(
        self,
        message: str,
        *,
        command: list[str],
        exit_code: int,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.command = command
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr

    def extensions(self) -> dict[str, Any]:
        # The SDK builds its own ExecError only when all of these are there.
        return {
            "_type": "EXEC_ERROR",
            "cmd": self.command,
            "exitCode": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
        }

    def within(self, context: str) -> ExecError:
        """The same failure with the place where it happened before its message."""
        return self.retold(f"{context}: {self}")

    def retold(self, message: str) -> ExecError:
        """The same failure with another message."""
        return ExecError(
            message,
            command=self.command,
            exit_code=self.exit_code,
            stdout=self.stdout,
            stderr=self.stderr,
        )


class ProcessError(EngineError):
    """A program of the engine's own (ip, iptables, mmdebstrap ...) that failed."""

    def __init__(self, command: list[str], exit_code: int, output: str) -> None:
        super().__init__(f"{command[0]} failed with exit code {exit_code}: {output.strip()}")
        self.exit_code = exit_code
        self.output = output


class StoreError(EngineError):
    """The store cannot be used: no room, no permission, or of a newer engine."""


def reason(error: OSError) -> str:
    """What the system says of an error, as the Dagger engine writes it: in small letters."""
    return (error.strerror or str(error)).lower()


def told(error: OSError) -> str:
    """An error of the system as a sentence: the paths that it names, and the reason."""
    named = [str(p) for p in (error.filename, error.filename2) if p and not isinstance(p, int)]
    paths = [p if len(p) <= _LONGEST_PATH else f"{p[:_LONGEST_PATH]}…" for p in named]
    return f"{' -> '.join(paths)}: {reason(error)}" if paths else reason(error)
