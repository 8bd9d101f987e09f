"""A value that is worked out once, when somebody first asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Lazy(Generic[T]):
    """The result of `compute`, shared by all who ask, and given up when nobody waits any more.

    A failure is told to all who waited and then forgotten: who asks later starts anew. When the
    last waiter is cancelled (its client went away) the work is cancelled too.
    """

    __slots__ = ("_compute", "_task", "_value", "_waiters")

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute
        self._task: asyncio.Future[T] | None = None
        self._value: tuple[T] | None = None
        self._waiters = 0

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A value that is there already."""

        async def known() -> T:
            return value

        made = cls(known)
        made._value = (value,)
        return made

    @property
    def ready(self) -> bool:
        """Whether `get` answers without work."""
        return self._value is not None

    async def get(self) -> T:
        """The value, worked out now if need be."""
        if self._value is not None:
            return self._value[0]
        if self._task is None:
            self._task = asyncio.ensure_future(self._compute())
        task = self._task
        self._waiters += 1
        try:
            value = await asyncio.shield(task)
        except BaseException:
            if task.done() and self._task is task:
                self._task = None
            raise
        finally:
            self._waiters -= 1
            if not self._waiters and not task.done():
                if self._task is task:
                    self._task = None
                await ended(task)
        self._value = (value,)
        self._task = None
        return value


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait until it has let go of what it holds: mounts, processes.

    Not even a second cancellation cuts that short. What the task came to is nobody's business.
    """
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()


async def together(*work: Awaitable[T]) -> list[T]:
    """The results of work that is done side by side; the first failure gives up the rest."""

    async def one(each: Awaitable[T]) -> T:
        return await each

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(each)) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def both(first: Awaitable[T], second: Awaitable[S]) -> tuple[T, S]:
    """As `together`, for two results that are not of one kind."""
    done: list[Any] = await together(first, second)
    return done[0], done[1]


async def finished(work: Awaitable[T]) -> T:
    """The result of work that is not to be left half done: cancelled waits go on to its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
