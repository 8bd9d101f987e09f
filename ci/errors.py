"""What may go wrong, by cause: the cause decides the exit code and whether a retry makes sense."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import ClassVar


class Failure(StrEnum):
    """Class of a failure, as the report names it."""

    CODE = "code"
    USAGE = "usage"
    INFRASTRUCTURE = "infrastructure"
    REFUSED = "refused"
    UPSTREAM = "upstream"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Failure.CODE: 1,
    Failure.USAGE: 2,
    Failure.INFRASTRUCTURE: 3,
    Failure.REFUSED: 4,
    Failure.UPSTREAM: 5,
}

INTERRUPTED = 130
UNREAD = 141  # as a shell tells of SIGPIPE


class BrewlineError(Exception):
    """Base of every expected failure: one clear sentence, the lines that show it, and the log.

    One that is `lasting` would be no other a moment later.
    """

    failure: ClassVar[Failure] = Failure.INFRASTRUCTURE

    def __init__(
        self, message: str, *, detail: str = "", log: Path | None = None, lasting: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.log = log
        self.lasting = lasting


class CheckFailed(BrewlineError):
    """A check found fault with the code."""

    failure = Failure.CODE


class UsageError(BrewlineError):
    """The command line asks for what does not exist or cannot be done."""

    failure = Failure.USAGE


class InfrastructureError(BrewlineError):
    """The engine, the network, the disk or a tool of the machine failed."""

    failure = Failure.INFRASTRUCTURE


class Refused(BrewlineError):
    """A policy or a gate says no."""

    failure = Failure.REFUSED


class UpstreamDown(BrewlineError):
    """The data source is down or sends garbage."""

    failure = Failure.UPSTREAM
