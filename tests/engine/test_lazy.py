"""A value worked out once, however many ask, fail or go away meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from engine.lazy import Lazy

pytestmark = pytest.mark.anyio


class Work:
    """Work that counts its runs, waits until it is let go, and notes that it was cancelled."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.cleaned = False
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0.01)
            self.cleaned = True
            raise
        return self.runs


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_ask_share_one_run() -> None:
    work = Work()
    lazy = Lazy(work)
    asking = [asyncio.create_task(lazy.get()) for _ in range(10)]
    await settle()
    before = lazy.ready
    work.go.set()
    assert await asyncio.gather(*asking) == [1] * 10
    assert (before, lazy.ready) == (False, True)
    assert await lazy.get() == 1
    assert work.runs == 1


async def test_nothing_runs_before_somebody_asks() -> None:
    work = Work()
    Lazy(work)
    await settle()
    assert work.runs == 0


async def test_known_value_needs_no_work() -> None:
    lazy = Lazy.of("value")
    assert lazy.ready
    assert await lazy.get() == "value"


async def test_none_is_a_value_like_any_other() -> None:
    runs = []

    async def compute() -> None:
        runs.append(1)

    lazy = Lazy(compute)
    await lazy.get()
    await lazy.get()
    assert runs == [1]


async def test_failure_is_told_to_all_and_then_forgotten() -> None:
    attempts = []

    async def compute() -> str:
        attempts.append(1)
        await asyncio.sleep(0)
        if len(attempts) == 1:
            raise ValueError("first")
        return "second"

    lazy = Lazy(compute)
    told = await asyncio.gather(*(lazy.get() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["first"] * 3
    assert len(attempts) == 1
    assert await lazy.get() == "second"


async def test_last_waiter_that_goes_cancels_the_work_and_waits_for_its_clean_up() -> None:
    work = Work()
    asking = asyncio.create_task(Lazy(work).get())
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert work.cancelled == 1
    assert work.cleaned


async def test_clean_up_outlasts_a_second_cancellation() -> None:
    work = Work()
    asking = asyncio.create_task(Lazy(work).get())
    await settle()
    asking.cancel()
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert work.cleaned


async def test_second_waiter_keeps_the_work_alive() -> None:
    work = Work()
    lazy = Lazy(work)
    first, second = asyncio.create_task(lazy.get()), asyncio.create_task(lazy.get())
    await settle()
    first.cancel()
    await settle()
    assert work.cancelled == 0
    work.go.set()
    assert await second == 1
    assert first.cancelled()


async def test_work_that_was_given_up_starts_anew_for_who_asks_next() -> None:
    work = Work()
    lazy = Lazy(work)
    first = asyncio.create_task(lazy.get())
    await settle()
    first.cancel()
    second = asyncio.create_task(lazy.get())
    await settle()
    work.go.set()
    assert await second == 2
    assert work.runs == 2


async def test_failure_of_the_clean_up_is_not_lost_as_unheard() -> None:
    async def compute() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("clean-up")

    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    asking = asyncio.create_task(Lazy(compute).get())
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await settle()
    assert not heard
