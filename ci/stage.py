"""The contract of a stage: a small context in, a result out.

A stage is `async def run(context: Context) -> Result` in `ci/stages/<name>.py`. It writes what it
wants kept into `context.report`; the runner lists that folder as the stage's artifacts. A failure
is raised as one of `ci.errors`, after the artifacts have been written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import Failure
from ci.settings import Settings
from ci.source import Git

if TYPE_CHECKING:  # the SDK takes most of a second to import, and a plan does not need it
    import dagger


class Status(StrEnum):
    """How a stage ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image that a run is about; a published one is referred to by its digest."""

    reference: str
    digest: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether the reference is one that others can pull."""
        return "@" in self.reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a stage came to; `cached` is None where nobody can tell.

    `lasting` is a failure that a second try at once would not mend; `retried` is what a first try
    failed with, where this is what a second one came to.
    `started` counts from the start of the run; both times are in seconds and set by the runner.
    """

    status: Status = Status.PASSED
    reason: str = ""
    detail: str = ""
    log: Path | None = None
    failure: Failure | None = None
    lasting: bool = False
    started: float | None = None
    seconds: float = 0.0
    cached: bool | None = None
    retried: str = ""
    image: Image | None = None
    artifacts: tuple[str, ...] = ()


def skipped(reason: str) -> Result:
    """The result of a stage that has nothing to do here."""
    return Result(status=Status.SKIPPED, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that a stage ran in a container, whether it failed or not.

    `container` is as the command left it; `log` is what it wrote, as an artifact.
    """

    container: dagger.Container
    command: tuple[str, ...]
    exit_code: int
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that a stage gets to know of the run; with `keep` a stack stays up for its user.

    It may `say` what it does now, and `tell` what its user must know before it ends.
    """

    client: dagger.Client
    root: Path
    git: Git
    settings: Settings
    reports: Path
    report: Path
    say: Callable[[str], None]
    tell: Callable[[str], None]
    results: Mapping[str, Result] = field(default_factory=dict)
    nonce: str = ""
    engine: str = ""
    run_id: str = ""
    keep: bool = False
    ran: list[Ran] = field(default_factory=list)

    @property
    def source_url(self) -> str:
        """URL of the repository that is built, or "": GitHub's, elsewhere what it came from."""
        return self.settings.source or self.git.origin or ""

    def source(self, *include: str) -> dagger.Directory:
        """The part of the repository that matches; each stage names what it needs, no more."""
        return self.client.host().directory(
            str(self.root), include=list(include), exclude=["**/__pycache__"]
        )
