"""Nightly: the pipeline against the live source, in the stack, compared with the last good run."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import dagger

from ci.compose import read_compose
from ci.containers import built
from ci.errors import BrewlineError, InfrastructureError, UpstreamDown
from ci.stack import API, COMPOSE_FILE, DRIVER, drive, failure, variables
from ci.stage import Context, Ran, Result

_UPSTREAM = UpstreamDown.failure.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A good run: when it was, what it fetched from where, and the seconds of its DAG run."""

    finished: str
    api: str
    rows: int
    silver_rows: int
    seconds: float

    @classmethod
    def of(cls, api: str, verdict: Mapping[str, Any]) -> Self:
        """The run that a verdict is about."""
        return cls(
            finished=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
            api=api,
            rows=verdict["lake"]["bronze_rows"],
            silver_rows=verdict["lake"]["silver_rows"],
            seconds=verdict["steps"]["run"],
        )

    @classmethod
    def read(cls, path: Path, api: str) -> Self | None:
        """The last good run against that source, or None where none is known."""
        try:
            record = json.loads(path.read_text())
            numbers = {name: record[name] + 0 for name in ("rows", "silver_rows", "seconds")}
            found = cls(finished=str(record["finished"]), api=record["api"], **numbers)
        except (OSError, ValueError, TypeError, LookupError):
            return None
        return found if found.api == api else None

    def write(self, path: Path) -> None:
        """Keep it for the next run to be compared with; raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


async def run(context: Context) -> Result:
    """Bring the stack up, have the DAG fetch from the live source, verify, and compare."""
    api, history = context.settings.brewery_api, context.settings.cache / "nightly.json"
    before = Good.read(history, api)
    try:
        await _answers(context, api)
        key = secrets.token_hex(8)
        compose = read_compose(
            context.root / COMPOSE_FILE,
            variables(context, api),
            profiles=["test"] if api == API else [],
        )
        verdict = await drive(context, compose, key=key, token=secrets.token_hex(16))
        if not verdict["passed"]:
            raise failure(context, verdict["failure"])
    except BrewlineError as error:
        if before:
            known = f"The last good run was that of {before.finished}, of {before.rows:,} rows."
            error.detail = f"{error.detail}\n{known}".strip()
        raise
    now = Good.of(api, verdict)
    try:
        now.write(history)
    except OSError as error:  # the run is as good as it is
        context.say(f"the next run has nothing to compare with: {history}: {error.strerror}")
    return Result(reason=compared(now, before))


def compared(now: Good, before: Good | None) -> str:
    """What a good run came to, beside the one before."""
    said = f"{now.rows:,} rows, {now.silver_rows:,} in silver, DAG run of {now.seconds:.0f} s"
    if before is None:
        return f"{said}; no earlier run to compare with"
    return (
        f"{said}; {now.rows - before.rows:+,} rows and {now.seconds - before.seconds:+.0f} s"
        f" since {before.finished}"
    )


async def _answers(context: Context, api: str) -> None:
    """Ask the source for its total before a stack is started for it; raises UpstreamDown."""
    if api == API:  # it comes up with the stack
        return
    command = ["python", "-m", "tests.integration.source", api]
    asked = (
        (await built(context))
        .with_mounted_directory("/driver", context.source(DRIVER))
        .with_workdir("/driver")
        .with_env_variable("BREWLINE_ASKED", secrets.token_hex(8))
        .with_exec(command, expect=dagger.ReturnType.ANY)
    )
    status = await asked.exit_code()
    context.ran.append(Ran(container=asked, command=tuple(command), exit_code=status))
    if status == 0:
        return
    log = context.report / "source.txt"
    log.write_text(await asked.stderr())
    said = log.read_text().strip().splitlines()[-1:] or [f"exit status {status}"]
    if status == _UPSTREAM:
        raise UpstreamDown(said[0], log=log)
    raise InfrastructureError(f"The source could not be asked: {said[0]}", log=log)
