"""From a declared stage to its function: makes the context, runs it, translates what it raises."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import dagger

from ci.connection import first_line, translated
from ci.errors import BrewlineError, CheckFailed, InfrastructureError
from ci.graph import Stage
from ci.report import Report, first_try
from ci.settings import Settings
from ci.stage import Context, Ran, Result

Function = Callable[[Context], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What all stages of a run share; `client` is None where none of them uses an engine.

    `ran` has the commands that they ran in containers, in the order in which these ended.
    """

    client: dagger.Client | None
    root: Path
    record: Report
    settings: Settings
    say: Callable[[str, str], None]
    tell: Callable[[str, str], None]
    nonce: str
    keep: bool = False
    ran: list[Ran] = field(default_factory=list)

    async def perform(self, stage: Stage, results: Mapping[str, Result]) -> Result:
        """Run one stage; raises only errors of `ci.errors`."""
        folder = self.record.folder / stage.name
        try:
            if folder.exists():
                folder.rename(first_try(folder))
            return await function_of(stage)(self._context(stage, results))
        except Exception as error:
            raise _translated(_innermost(error), folder) from error

    def _context(self, stage: Stage, results: Mapping[str, Result]) -> Context:
        folder = self.record.folder / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        return Context(
            # Without an engine this client is not connected: any use of it is an error.
            client=self.client or dagger.Client(),
            root=self.root,
            git=self.record.git,
            settings=self.settings,
            reports=self.record.folder,
            report=folder,
            say=lambda text: self.say(stage.name, text),
            tell=lambda text: self.tell(stage.name, text),
            results=results,
            nonce=self.nonce,
            keep=self.keep,
            engine=str(self.record.engine or ""),
            run_id=self.record.run_id,
            ran=self.ran,
        )


def function_of(stage: Stage) -> Function:
    """The function that does the stage's work, imported now."""
    module, name = stage.function
    return cast(Function, getattr(importlib.import_module(module), name))


def _innermost(error: BaseException) -> BaseException:
    """The error itself, where a task group has wrapped it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _translated(error: BaseException, folder: Path) -> BrewlineError:
    """Any error as one of ours; what it had to say at length goes to a log."""
    if isinstance(error, BrewlineError):
        return error
    if isinstance(error, OSError):
        return InfrastructureError(f"{error}: check the disk and its permissions.")
    log = folder / "error.txt"
    if isinstance(error, dagger.DaggerError):
        log.write_text(_everything(error))
        return translated(error, log)
    log.write_text("".join(traceback.format_exception(error)))
    fault = f"{type(error).__name__}: {first_line(error)}"
    return CheckFailed(f"The stage itself is at fault, {fault}.", log=log)


def _everything(error: dagger.DaggerError) -> str:
    """All that an engine said, for the log."""
    text = "".join(traceback.format_exception_only(error))
    if isinstance(error, dagger.ExecError):
        text += f"\n--- standard output\n{error.stdout}\n--- standard error\n{error.stderr}\n"
    return text
