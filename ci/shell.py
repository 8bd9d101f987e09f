"""`shell STAGE`: the stage is run, and then a terminal is opened where its command failed.

A command that an engine itself takes for failed, such as an installation or a step of a Dockerfile,
gets its terminal from the embedded engine, while its container is as it left it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import dagger

from ci import embedded
from ci.connection import first_line
from ci.engine import Engine
from ci.errors import InfrastructureError
from ci.stage import Ran, Result
from engine.progress import one_line
from engine.shell import LINE_EDITING


def attending(engines: Sequence[Engine]) -> tuple[Engine, ...]:
    """The engines, told that somebody is there to look at a command that fails."""
    told = {"BREWLINE_INTERACTIVE": "1"}
    return tuple(replace(each, environ={**each.environ, **told}) for each in engines)


async def attach(
    stage: str, ran: Sequence[Ran], result: Result | None, events: Path, say: Callable[[str], None]
) -> None:
    """Open a terminal in a container of the stage's, unless the engine has done so.

    Raises InfrastructureError where the engine cannot.
    """
    if _opened_by_the_engine(events):
        return
    chosen = choose(ran, result)
    if chosen is None:
        say(f"{stage} came to no command in a container: there is no terminal to open.")
        return
    command = one_line(chosen.command)
    say(f"As left by `{command}`, which ended with exit code {chosen.exit_code}:")
    try:
        await chosen.container.terminal(cmd=list(LINE_EDITING)).sync()
    except dagger.DaggerError as error:
        raise InfrastructureError(f"No terminal could be opened: {first_line(error)}.") from error


def choose(ran: Sequence[Ran], result: Result | None) -> Ran | None:
    """The command that the stage failed with, or else the last one."""
    if result is not None and result.failure is not None:
        named = [each for each in ran if each.log is not None and each.log == result.log]
        # The last one: what failed before it may only have been remembered.
        failing = [each for each in (*ran, *named) if each.exit_code != 0]
        if failing:
            return failing[-1]
    return ran[-1] if ran else None


def _opened_by_the_engine(events: Path) -> bool:
    told = embedded.told(events)
    return any(event.get("event") == "failed exec's terminal" for event in told)
