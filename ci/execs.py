"""Commands in containers whose output, exit code and age are kept, also when they fail."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import dagger

from ci.containers import PYTHON_IMAGE
from ci.stage import Context, Ran

# What the command leaves here is exported, its output among it; any user may write there.
REPORTS = "/tmp/reports"

_STARTED = "/tmp/.started"
_SCRIPT = f'mkdir -p {REPORTS}; date +%s > {_STARTED}; exec "$@" > "{REPORTS}/$0" 2>&1'


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A command whose exit code 0 means that all is well."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check came to."""

    name: str
    exit_code: int
    log: Path
    cached: bool

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


async def run(context: Context, container: dagger.Container, check: Check) -> Checked:
    """Run a check and export what it leaves in `REPORTS`; a failing one is no error here."""
    now = await _engine_clock(context)
    name = f"{check.name}.txt"
    done = container.with_exec(
        ["sh", "-c", _SCRIPT, name, *check.command], expect=dagger.ReturnType.ANY
    )
    exit_code = await done.exit_code()
    log = context.report / name
    context.ran.append(Ran(container=done, command=check.command, exit_code=exit_code, log=log))
    await done.directory(REPORTS).export(str(context.report))
    started = int(await done.file(_STARTED).contents())
    return Checked(name=check.name, exit_code=exit_code, log=log, cached=started < now)


async def confirm(context: Context, container: dagger.Container, check: Check) -> Checked:
    """Run a check whose failure may have been the machine's: one that is only remembered is no
    verdict, so that it is run again, each time under another key."""
    for attempt in count():
        keyed = container.with_env_variable("BREWLINE_ATTEMPT", str(attempt))
        checked = await run(context, keyed, check)
        if checked.exit_code == 0 or not checked.cached:
            break
    return checked


async def _engine_clock(context: Context) -> int:
    """Seconds since the epoch where the engine runs, which need not be our clock's.

    A command that started before this moment was not run for us: its result was remembered.
    """
    probe = (
        context.client.container()
        .from_(PYTHON_IMAGE)
        .with_env_variable("BREWLINE_NONCE", secrets.token_hex(8))
        .with_exec(["date", "+%s"])
    )
    return int(await probe.stdout())
