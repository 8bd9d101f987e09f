"""A connection to the first engine that works, and the translation of its errors."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dagger
from dagger.provisioning import ProvisionError

from ci import embedded
from ci.engine import Engine
from ci.errors import BrewlineError, InfrastructureError
from engine.progress import one_line

Say = Callable[[str], None]

_NETWORK = re.compile(
    r"name resolution|Name or service not known|Connection refused|Network is unreachable"
    r"|Failed to fetch|dns error|error sending request|timed out|No space left on device"
    r"|certificate verif|certificate problem|invalid peer certificate",
    re.IGNORECASE,
)


@contextlib.asynccontextmanager
async def connect(
    engines: Sequence[Engine], events: Path, log: Path, say: Say
) -> AsyncIterator[tuple[dagger.Client, Engine]]:
    """A client of the first of `engines` that starts; raises InfrastructureError where none does.

    The engine's own log goes to `log`.
    """
    refused = ""
    for engine in engines:
        async with contextlib.AsyncExitStack() as stack:
            try:
                client = await _started(engine, stack, events, log, say)
                version = await client.version()
            except (dagger.DaggerError, OSError) as error:
                refused = f"{engine.name}: {first_line(error)}"
                continue
            why = f"{engine.why} ({refused})" if refused else engine.why
            yield client, replace(engine, version=version, why=why)
            return
    raise InfrastructureError(f"No engine starts: {refused}.", detail=_tail(log), log=log)


async def _started(
    engine: Engine,
    stack: contextlib.AsyncExitStack,
    events: Path,
    log: Path,
    say: Say,
) -> dagger.Client:
    """A client of `engine`, both ended by `stack`; that an engine ends badly is only told."""
    stack.enter_context(_environ(_variables(engine, events, say)))
    output = stack.enter_context(log.open("a"))
    # A query that is sent twice would start a stage's work twice: only connecting is retried.
    retry = dagger.Retry(connect=True, execute=False)
    connection = dagger.Connection(dagger.Config(log_output=output, retry=retry))

    async def close() -> None:
        try:
            await connection.__aexit__(None, None, None)
        except ProvisionError as error:
            say(f"The engine did not end in good order: {first_line(error)}.")

    client = await connection.__aenter__()
    stack.push_async_callback(close)
    return client


def _variables(engine: Engine, events: Path, say: Say) -> Mapping[str, str | None]:
    if engine.name != "embedded":
        return engine.environ
    embedded.require_packages(say)
    return {**engine.environ, **embedded.variables(embedded.PROGRAM, os.environ, events)}


@contextlib.contextmanager
def _environ(changes: Mapping[str, str | None]) -> Iterator[None]:
    """The process environment with `changes`, put back afterwards: the SDK reads no other."""
    before = {name: os.environ.get(name) for name in changes}
    _apply(changes)
    try:
        yield
    finally:
        _apply(before)


def _apply(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def translated(error: dagger.DaggerError, log: Path) -> BrewlineError:
    """An engine's error that no stage expected, as one of ours."""
    if isinstance(error, dagger.ExecError):
        return InfrastructureError(
            f"`{one_line(error.command)}` ended with exit code {error.exit_code}.",
            detail=last_lines(error.stderr or error.stdout),
            log=log,
        )
    if isinstance(error, ProvisionError | dagger.ClientConnectionError | dagger.TransportError):
        return InfrastructureError(f"The engine went away: {first_line(error)}.", log=log)
    return InfrastructureError(f"The engine says: {first_line(error)}.", log=log)


def is_environmental(error: dagger.ExecError) -> bool:
    """Whether a command failed because of the network or the disk, not because of the code."""
    return bool(_NETWORK.search(f"{error.stdout}\n{error.stderr}"))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without the full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _tail(log: Path) -> str:
    try:
        return last_lines(log.read_text(errors="replace"))
    except OSError:
        return ""


def last_lines(text: str, count: int = 20) -> str:
    """The end of a long text, where tools say what went wrong."""
    return "\n".join(text.strip().splitlines()[-count:])
