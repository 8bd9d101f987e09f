"""Nightly: the pipeline against the live source, in the stack, compared with the last good run."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import dagger

from ci.compose import read_compose
from ci.containers import built
from ci.errors import BrewlineError, InfrastructureError, UpstreamDown, UsageError
from ci.stack import API, COMPOSE_FILE, DRIVER, drive, failure, variables
from ci.stage import Context, Ran, Result

# The share of rows whose loss the data product fails a run for (its limit `rows_lost`).
_LOST = 0.5
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
            record = _history(path)[api]
            # What is no number cannot be added to.
            numbers = {name: record[name] + 0 for name in ("rows", "silver_rows", "seconds")}
            return cls(finished=str(record["finished"]), api=api, **numbers)
        except (TypeError, LookupError):
            return None

    def write(self, path: Path) -> None:
        """Keep it for the next run to be compared with, beside those of other sources.

        Raises OSError.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {**_history(path), self.api: asdict(self)}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(kept, indent=2) + "\n")
        draft.replace(path)


def _history(path: Path) -> dict[str, Any]:
    """The last good run against each source; none where there is no such record."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


async def run(context: Context) -> Result:
    """Bring the stack up, have the DAG fetch from the live source, verify, and compare."""
    api, history = context.settings.brewery_api, context.settings.cache / "nightly.json"
    before = Good.read(history, api)
    _require_reachable(api)
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
        now = Good.of(api, verdict)
        _require_as_many(now, before)
    except BrewlineError as error:
        if before:
            known = f"The last good run was that of {before.finished}, of {before.rows:,} rows."
            error.message = f"{error.message.rstrip('.')}. {known}"
        raise
    try:
        now.write(history)
    except OSError as error:  # the run is as good as it is
        context.tell(f"the next run has nothing to compare with: {history}: {error.strerror}")
    return Result(reason=compared(now, before))


def _require_as_many(now: Good, before: Good | None) -> None:
    """Raise UpstreamDown where the source has lost so much that it can be no good night.

    The lake of a night is new: the data product itself has no run before to compare with.
    """
    if before and now.rows < (1 - _LOST) * before.rows:
        raise UpstreamDown(f"The source has lost rows: {now.rows:,} are left.")


def compared(now: Good, before: Good | None) -> str:
    """What a good run came to, beside the one before."""
    said = f"{now.rows:,} rows, {now.silver_rows:,} in silver, DAG run of {now.seconds:.0f} s"
    if before is None:
        return f"{said}; no earlier run to compare with"
    return (
        f"{said}; {now.rows - before.rows:+,} rows and {now.seconds - before.seconds:+.0f} s"
        f" since {before.finished}"
    )


def _require_reachable(api: str) -> None:
    """Raise UsageError for a source on loopback: a container has one of its own."""
    host = urlsplit(api).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        raise UsageError(
            f"BREWERY_API is {api}, which no container reaches: "
            "have the source listen on this machine's network, and give its address there."
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
