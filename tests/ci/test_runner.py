from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from ci.errors import BrewlineError, CheckFailed, Failure, InfrastructureError, UpstreamDown
from ci.graph import Planned, Stage, in_order
from ci.runner import Outcome, Rules, run
from ci.stage import Result, Status

Work = Callable[[], Awaitable[Result]]


class FakeGraph:
    """Stages that need no containers: each does what the test says and notes when."""

    def __init__(self, *stages: Stage, skip: Mapping[str, str] | None = None) -> None:
        reasons = skip or {}
        self.planned = [Planned(stage=s, skip=reasons.get(s.name)) for s in in_order(stages)]
        self.work: dict[str, Work] = {}
        self.started: list[str] = []
        self.watched: list[tuple[str, str]] = []
        self.active = 0
        self.most_active = 0

    async def perform(self, stage: Stage, results: Mapping[str, Result]) -> Result:
        self.started.append(stage.name)
        assert all(need in results for need in stage.needs)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await anyio.sleep(0.01)
            return await self.work[stage.name]() if stage.name in self.work else Result()
        finally:
            self.active -= 1

    def run(self, rules: Rules | None = None) -> Outcome:
        async def main() -> Outcome:
            with anyio.fail_after(60):
                return await run(
                    self.planned, self.perform, rules=rules or Rules(), watch=self.watch
                )

        return anyio.run(main)

    def watch(self, stage: str, result: Result | None) -> None:
        self.watched.append((stage, result.status if result else "started"))


def stage(name: str, *needs: str, always: bool = False) -> Stage:
    return Stage(name=name, summary=name, needs=needs, always=always)


def raising(error: BrewlineError) -> Work:
    async def work() -> Result:
        raise error

    return work


async def _for_ever() -> Result:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def statuses(outcome: Outcome) -> dict[str, str]:
    return {name: str(result.status) for name, result in outcome.results.items()}


def diamond() -> FakeGraph:
    return FakeGraph(
        stage("a"), stage("b"), stage("c", "a", "b"), stage("d", "c"), stage("end", always=True)
    )


def test_stages_without_needs_overlap() -> None:
    graph = FakeGraph(stage("a"), stage("b"))
    outcome = graph.run()
    a, b = outcome.results["a"], outcome.results["b"]
    assert graph.most_active == 2
    assert a.started is not None and b.started is not None
    assert b.started < a.started + a.seconds


def test_a_stage_waits_for_all_that_it_needs() -> None:
    graph = diamond()
    outcome = graph.run()
    assert graph.started.index("c") > max(graph.started.index("a"), graph.started.index("b"))
    assert outcome.exit_code == 0
    c, a = outcome.results["c"], outcome.results["a"]
    assert c.started is not None and a.started is not None
    assert c.started >= a.started + a.seconds


def test_jobs_limits_the_width_of_the_run() -> None:
    graph = FakeGraph(stage("a"), stage("b"), stage("c"))
    assert graph.run(Rules(jobs=1)).exit_code == 0
    assert graph.most_active == 1


def test_a_failure_stops_what_runs_and_what_has_not_begun() -> None:
    graph = diamond()
    graph.work = {"a": raising(CheckFailed("two faults")), "b": _for_ever}
    outcome = graph.run()
    assert statuses(outcome)["a"] == "failed"
    assert outcome.results["a"].reason == "two faults"
    assert outcome.results["b"].status is Status.CANCELLED
    assert outcome.results["b"].reason == "stopped: a failed"
    assert statuses(outcome)["c"] == statuses(outcome)["d"] == "skipped"
    assert outcome.exit_code == 1


def test_with_one_job_a_failure_keeps_the_waiting_stage_from_starting() -> None:
    graph = FakeGraph(stage("a"), stage("b"))
    graph.work = {"a": raising(CheckFailed("no"))}
    outcome = graph.run(Rules(jobs=1))
    assert graph.started == ["a"]
    assert outcome.results["b"].reason == "a failed"


def test_keep_going_runs_what_the_failure_does_not_hinder() -> None:
    graph = FakeGraph(stage("a"), stage("b"), stage("c", "b"), stage("d", "a"), stage("e", "d"))
    graph.work = {"a": raising(CheckFailed("no"))}
    outcome = graph.run(Rules(keep_going=True))
    assert statuses(outcome) == {
        "a": "failed",
        "b": "passed",
        "c": "passed",
        "d": "skipped",
        "e": "skipped",
    }
    assert outcome.results["d"].reason == "a failed"
    assert outcome.results["e"].reason == "d did not run"


def test_a_stage_that_is_skipped_on_purpose_hinders_nobody() -> None:
    graph = FakeGraph(stage("a"), stage("b", "a"), skip={"a": "left out by --skip"})
    outcome = graph.run()
    assert statuses(outcome) == {"a": "skipped", "b": "passed"}
    assert outcome.results["a"].reason == "left out by --skip"


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_stage_that_always_runs_does_so_after_a_failure(keep_going: bool) -> None:
    graph = FakeGraph(stage("a"), stage("b", "a"), stage("end", "b", always=True))
    graph.work = {"a": raising(CheckFailed("no"))}
    outcome = graph.run(Rules(keep_going=keep_going))
    assert graph.started == ["a", "end"]
    assert outcome.results["end"].status is Status.PASSED
    assert outcome.exit_code == 1


def test_a_failure_does_not_stop_a_stage_that_always_runs() -> None:
    finished = []

    async def slowly() -> Result:
        await anyio.sleep(0.1)
        finished.append("end")
        return Result()

    graph = FakeGraph(stage("a"), stage("end", always=True))
    graph.work = {"a": raising(CheckFailed("no")), "end": slowly}
    assert graph.run().results["end"].status is Status.PASSED
    assert finished == ["end"]


def test_a_stage_that_takes_too_long_fails_as_infrastructure() -> None:
    graph = FakeGraph(stage("a"))
    graph.work = {"a": _for_ever}
    outcome = graph.run(Rules(seconds=0.05))
    assert outcome.results["a"].status is Status.FAILED
    assert outcome.results["a"].failure is Failure.INFRASTRUCTURE
    assert "0.05 s" in outcome.results["a"].reason
    assert outcome.exit_code == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_cancels_everything_and_skips_the_rest(number: signal.Signals) -> None:
    graph = diamond()

    async def interrupt() -> Result:
        os.kill(os.getpid(), number)
        return await _for_ever()

    graph.work = {"a": interrupt, "b": _for_ever, "end": _for_ever}
    outcome = graph.run()
    assert outcome.interrupted
    assert outcome.exit_code == 130
    assert statuses(outcome) == {
        "a": "cancelled",
        "b": "cancelled",
        "end": "cancelled",
        "c": "skipped",
        "d": "skipped",
    }
    assert outcome.results["c"].reason == "interrupted"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(CheckFailed("x"), 1, id="code"),
        pytest.param(InfrastructureError("x"), 3, id="infrastructure"),
        pytest.param(UpstreamDown("x"), 5, id="upstream"),
    ],
)
def test_the_class_of_the_failure_decides_the_exit_code(error: BrewlineError, code: int) -> None:
    graph = FakeGraph(stage("a"))
    graph.work = {"a": raising(error)}
    outcome = graph.run()
    assert outcome.exit_code == code
    assert outcome.failure is error.failure


def test_of_several_failures_the_first_in_the_graph_decides() -> None:
    graph = FakeGraph(stage("a"), stage("b"))
    graph.work = {"a": raising(UpstreamDown("x")), "b": raising(CheckFailed("y"))}
    assert graph.run(Rules(keep_going=True)).exit_code == 5


def test_results_keep_the_order_of_the_graph() -> None:
    graph = diamond()
    assert list(graph.run().results) == ["a", "b", "end", "c", "d"]


def test_the_watcher_hears_each_start_and_each_end() -> None:
    graph = FakeGraph(stage("a"), stage("b", "a"), skip={"b": "why not"})
    graph.run()
    assert graph.watched == [("a", "started"), ("a", "passed"), ("b", "skipped")]


def test_what_a_failure_has_to_show_reaches_the_result() -> None:
    graph = FakeGraph(stage("a"))
    graph.work = {"a": raising(CheckFailed("no", detail="x.py:1: unused"))}
    assert graph.run().results["a"].detail == "x.py:1: unused"


def failing_first(times: int, error: BrewlineError) -> Work:
    left = [error] * times

    async def work() -> Result:
        if left:
            raise left.pop()
        return Result(reason="fine")

    return work


def repeatable(name: str) -> Stage:
    return Stage(name=name, summary=name, repeatable=True)


def test_what_the_machine_spoilt_is_tried_once_more_and_told() -> None:
    graph = FakeGraph(repeatable("a"))
    graph.work["a"] = failing_first(1, InfrastructureError("no network"))
    result = graph.run().results["a"]
    assert graph.started == ["a", "a"]
    assert (result.status, result.reason, result.retried) == (Status.PASSED, "fine", "no network")


def test_a_time_out_of_the_second_try_does_not_hide_what_the_first_failed_with() -> None:
    graph = FakeGraph(repeatable("a"))
    tries: list[Work] = [raising(InfrastructureError("postgres died")), _for_ever]

    async def work() -> Result:
        return await tries.pop(0)()

    graph.work["a"] = work
    result = graph.run(Rules(seconds=0.2)).results["a"]
    assert ("0.2 s" in result.reason, result.retried) == (True, "postgres died")


def test_what_would_be_no_other_a_moment_later_is_not_tried_again() -> None:
    graph = FakeGraph(repeatable("a"))
    graph.work["a"] = failing_first(1, InfrastructureError("the login is refused", lasting=True))
    assert graph.run().results["a"].status is Status.FAILED
    assert graph.started == ["a"]


def test_nothing_is_tried_again_while_somebody_looks_on() -> None:
    graph = FakeGraph(repeatable("a"))
    graph.work["a"] = failing_first(1, InfrastructureError("no network"))
    assert graph.run(Rules(attended=True)).results["a"].status is Status.FAILED
    assert graph.started == ["a"]


def test_a_second_failure_of_the_machine_is_final() -> None:
    graph = FakeGraph(repeatable("a"))
    graph.work["a"] = failing_first(2, InfrastructureError("no network"))
    outcome = graph.run()
    assert graph.started == ["a", "a"]
    assert (outcome.failure, outcome.results["a"].retried) == (
        Failure.INFRASTRUCTURE,
        "no network",
    )


@pytest.mark.parametrize("error", [CheckFailed("a test failed"), UpstreamDown("it is down")])
def test_what_a_check_found_is_not_tried_again(error: BrewlineError) -> None:
    graph = FakeGraph(repeatable("a"))
    graph.work["a"] = failing_first(1, error)
    assert graph.run().results["a"].status is Status.FAILED
    assert graph.started == ["a"]


def test_a_stage_that_acts_outside_is_not_tried_again() -> None:
    graph = FakeGraph(stage("deploy"))
    graph.work["deploy"] = failing_first(1, InfrastructureError("no network"))
    assert graph.run().results["deploy"].status is Status.FAILED
    assert graph.started == ["deploy"]
