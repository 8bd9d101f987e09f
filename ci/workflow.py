"""One run, from the choice of the engine to the last line: binds graph, engine and report."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import dagger

from ci import embedded, engine, explain, report, runner, shell
from ci.binding import Stages
from ci.command_line import Options
from ci.connection import connect
from ci.console import Console
from ci.errors import BrewlineError
from ci.graph import Planned, plan
from ci.publishing.access import require_login
from ci.publishing.destination import (
    Destination,
    acts,
    destination,
    require_keys,
    require_publishable,
)
from ci.report import Report
from ci.settings import Settings
from ci.source import Git, read_git
from ci.stage import Result
from ci.tags import repository, require_fit
from ci.versions import read_version


def main(options: Options, root: Path) -> int:
    """Run what the command line asks for; returns the exit code."""
    return anyio.run(_run, options, root)


async def _run(options: Options, root: Path) -> int:
    git = read_git(root, os.environ)
    publishes = options.command in ("all", "build") and acts(options.publish, os.environ)
    version = read_version(root)
    if publishes:
        require_fit(git, version)  # one that is fit for no tag is better known now
    target = _destination(options, git, publishes)
    planned = plan(git, only=options.only, without=options.skip, publishes=publishes)
    settings = Settings.from_environment(os.environ, destination=target)
    report.prepare(options.report)
    record = Report(
        folder=options.report,
        run_id=report.run_id(os.environ),
        version=version,
        git=git,
    )
    console = Console(json=options.json, quiet=options.quiet, verbose=options.verbose)
    await _Run(options, root, settings, record, console).execute(planned)
    return record.exit_code


def _destination(options: Options, git: Git, publishes: bool) -> Destination | None:
    """Where images of this run go to or come from; None where it has nothing to do with any.

    Raises what forbids to publish, and a setting that cannot be meant, before anything starts.
    """
    if publishes:
        require_publishable(git, os.environ)
    elif options.command not in ("deploy", "release"):
        return None
    elif not (options.repository or os.environ.get("GITHUB_REPOSITORY")):
        return None  # the stage says so, after what is worse
    found = destination(repository(options.repository, os.environ), os.environ)
    if publishes:
        require_login(found)
    require_keys(found)
    return found


@dataclass(slots=True)
class _Run:
    """What the stages of one run share."""

    options: Options
    root: Path
    settings: Settings
    record: Report
    console: Console

    async def execute(self, planned: Sequence[Planned]) -> None:
        """Run the planned stages and close the record, whatever happens on the way."""
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="brewline-") as folder:
                events = Path(folder) / "events.jsonl"
                try:
                    await self._stages(planned, events)
                finally:
                    if self.options.explain:
                        explain.tell(events, self.console.line)
        except BrewlineError as error:
            if self.record.outcome.results:
                raise
            await self._without_engine(planned, error)
        except anyio.get_cancelled_exc_class():  # Ctrl-C while the engine starts
            self.record.outcome.interrupted = True
            raise
        finally:
            self.record.seconds = time.monotonic() - started
            self.record.write()
        self.console.close(self.record)
        if self.options.json:
            print(json.dumps(self.record.as_dict(), indent=2))

    async def _stages(self, planned: Sequence[Planned], events: Path) -> None:
        async with self._engine(planned, events) as client:
            with self._live():
                stages = await self._through(planned, client, events)
            outcome = self.record.outcome
            if self._attended and not outcome.interrupted:
                name = self.options.action
                await shell.attach(
                    name, stages.ran, outcome.results[name], events, self.console.line
                )

    async def _through(
        self, planned: Sequence[Planned], client: dagger.Client | None, events: Path
    ) -> Stages:
        """Run the stages to their end, the record being kept up to date."""
        stages = Stages(
            client=client,
            root=self.root,
            record=self.record,
            settings=self.settings,
            say=self.console.say,
            tell=self.console.tell,
            nonce=secrets.token_hex(8) if self.options.no_cache else "",
            keep=self.options.keep,
        )
        outcome = await runner.run(
            planned,
            stages.perform,
            rules=_rules(self.options),
            watch=functools.partial(self._watch, events),
        )
        self.record.outcome.interrupted = outcome.interrupted
        return stages

    async def _without_engine(self, planned: Sequence[Planned], error: BrewlineError) -> None:
        """Have the first stage that wants an engine failed, and run what always runs: the alert."""
        events = Path(os.devnull)
        first = next(item.stage for item in planned if item.stage.uses_engine and not item.skip)
        self._watch(events, first.name, runner.failed(error))
        await self._through([item for item in planned if item.stage.always], None, events)

    @property
    def _attended(self) -> bool:
        """Whether the run is for its user to look into a container."""
        return self.options.command == "shell"

    def _live(self) -> contextlib.AbstractContextManager[None]:
        """Live lines, unless terminals may be opened while they are drawn."""
        return contextlib.nullcontext() if self._attended else self.console.live()

    @contextlib.asynccontextmanager
    async def _engine(
        self, planned: Sequence[Planned], events: Path
    ) -> AsyncIterator[dagger.Client | None]:
        """A client for the stages, or None where none of them needs one."""
        if not any(item.stage.uses_engine and not item.skip for item in planned):
            yield None
            return
        choices = engine.candidates(self.options.engine, os.environ, engine.answering_runtime)
        if self._attended:
            choices = shell.attending(choices)
        log = self.record.folder / "engine.log"
        async with connect(choices, events, log, self.console.line) as (client, chosen):
            self.record.engine = chosen
            self.console.line(f"Engine: {chosen.name} {chosen.version}, {chosen.why}")
            yield client

    def _watch(self, events: Path, stage: str, result: Result | None) -> None:
        """Keep the record up to date, so that it tells the truth however the run ends."""
        if result:
            result = replace(result, artifacts=report.artifacts(self.record.folder, stage))
            self.record.outcome.results[stage] = result
            self.record.stand_ins = embedded.stand_ins(events)
            self.record.moved_packages = embedded.moved_packages(events)
            self.record.write()
        self.console.watch(stage, result)


def _rules(options: Options) -> runner.Rules:
    # Nobody is hurried at a terminal.
    attended = options.command == "shell" or options.keep
    return runner.Rules(
        keep_going=options.keep_going,
        jobs=options.jobs,
        seconds=None if attended else options.seconds,
        attended=attended,
    )
