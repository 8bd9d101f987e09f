"""Control flow of a run, and nothing else: order, parallelism, stopping, skipping, cancelling.

What a stage does is behind `perform`; containers, reports and terminals are not known here.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from ci.errors import INTERRUPTED, BrewlineError, Failure
from ci.graph import Planned, Stage
from ci.stage import Result, Status, skipped

Perform = Callable[[Stage, Mapping[str, Result]], Awaitable[Result]]
Watch = Callable[[str, Result | None], None]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BROKEN = (Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a run treats failures, width and time; seconds are for one stage.

    `attended` is a run whose user wants to look at what a stage leaves: none is tried again.
    """

    keep_going: bool = False
    jobs: int | None = None
    seconds: float | None = None
    attended: bool = False


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What the whole run came to."""

    results: dict[str, Result] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def failure(self) -> Failure | None:
        """Class of the first failure in the graph's order."""
        return next((r.failure for r in self.results.values() if r.failure), None)

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return INTERRUPTED
        return self.failure.exit_code if self.failure else 0


async def run(
    planned: Sequence[Planned], perform: Perform, *, rules: Rules, watch: Watch
) -> Outcome:
    """Run the planned stages, each as soon as those it needs are done.

    `watch` hears of a stage when it starts (None) and when it ends (its result). Ctrl-C and
    SIGTERM cancel what runs; they make the outcome `interrupted`, never an exception.
    """
    return await _Run(planned, perform, rules, watch).run()


class _Run:
    """State of one run."""

    def __init__(
        self, planned: Sequence[Planned], perform: Perform, rules: Rules, watch: Watch
    ) -> None:
        self._planned = planned
        self._perform = perform
        self._rules = rules
        self._watch = watch
        self._started = time.monotonic()
        self._done = {item.stage.name: anyio.Event() for item in planned}
        self._results: dict[str, Result] = {}
        self._always = {item.stage.name for item in planned if item.stage.always}
        self._blocked: set[str] = set()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._stopped_by: str | None = None
        self._interrupted = False
        self._limit = anyio.CapacityLimiter(rules.jobs or max(len(planned), 1))

    async def run(self) -> Outcome:
        async with anyio.create_task_group() as signals:
            signals.start_soon(self._listen)
            async with anyio.create_task_group() as stages:
                for item in self._planned:
                    stages.start_soon(self._follow, item)
            signals.cancel_scope.cancel()
        results = {item.stage.name: self._results[item.stage.name] for item in self._planned}
        return Outcome(results=results, interrupted=self._interrupted)

    async def _listen(self) -> None:
        with anyio.open_signal_receiver(*_SIGNALS) as received:
            async for _ in received:
                self._interrupted = True
                for scope in self._scopes.values():
                    scope.cancel()

    async def _follow(self, item: Planned) -> None:
        """Wait for what the stage needs, then run it or say why not."""
        stage = item.stage
        for need in stage.needs:
            if need in self._done:
                await self._done[need].wait()
        if item.skip:
            self._finish(stage, skipped(item.skip))
        else:
            async with self._limit:
                await self._start(stage)
        self._done[stage.name].set()

    async def _start(self, stage: Stage) -> None:
        """Run the stage, unless what happened while it waited for its turn forbids it."""
        obstacle = self._obstacle(stage)
        if obstacle:
            self._blocked.add(stage.name)
            return self._finish(stage, skipped(obstacle))
        self._watch(stage.name, None)
        started = time.monotonic()
        result = await self._supervise(stage)
        seconds = time.monotonic() - started
        result = replace(result, started=started - self._started, seconds=seconds)
        if result.status is Status.FAILED and not self._rules.keep_going:
            self._stop_others(stage)
        self._finish(stage, result)

    async def _supervise(self, stage: Stage) -> Result:
        """Run the stage to its end, its time limit or its cancellation."""
        seconds = self._rules.seconds
        first: list[Result] = []
        with anyio.move_on_after(seconds) as scope:
            self._scopes[stage.name] = scope
            try:
                return await self._tried(stage, first)
            finally:
                del self._scopes[stage.name]
        if self._interrupted:
            return Result(status=Status.CANCELLED, reason="interrupted")
        if self._stopped_by:
            return Result(status=Status.CANCELLED, reason=f"stopped: {self._stopped_by} failed")
        return Result(
            status=Status.FAILED,
            failure=Failure.INFRASTRUCTURE,
            reason=f"took longer than {seconds:g} s (see --timeout)",
            retried=first[0].reason if first else "",
        )

    async def _tried(self, stage: Stage, first: list[Result]) -> Result:
        """Run the stage, and once more where the machine failed it and a second try does no harm.

        What a check found stays found: a test that fails has failed. `first` gets what a second
        try is made for.
        """
        result = await self._try(stage)
        repeatable = stage.repeatable and not result.lasting and not self._rules.attended
        if not repeatable or result.failure is not Failure.INFRASTRUCTURE:
            return result
        first.append(result)
        return replace(await self._try(stage), retried=result.reason)

    async def _try(self, stage: Stage) -> Result:
        try:
            return await self._perform(stage, self._results)
        except BrewlineError as error:
            return failed(error)

    def _obstacle(self, stage: Stage) -> str | None:
        """Why the stage cannot start any more, or None."""
        if self._interrupted:
            return "interrupted"
        if stage.always:
            return None
        if self._stopped_by:
            return f"{self._stopped_by} failed"
        for need in stage.needs:
            if need in self._blocked:
                return f"{need} did not run"
            if need in self._results and self._results[need].status in _BROKEN:
                return f"{need} {self._results[need].status}"
        return None

    def _stop_others(self, stage: Stage) -> None:
        self._stopped_by = self._stopped_by or stage.name
        for name, scope in self._scopes.items():
            if name not in self._always:
                scope.cancel()

    def _finish(self, stage: Stage, result: Result) -> None:
        self._results[stage.name] = result
        self._watch(stage.name, result)


def failed(error: BrewlineError) -> Result:
    """The result of a stage that raised."""
    return Result(
        status=Status.FAILED,
        reason=error.message,
        detail=error.detail,
        log=error.log,
        failure=error.failure,
        lasting=error.lasting,
    )
