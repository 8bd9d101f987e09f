"""Several requests at once, but never more than so many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

__all__ = ["each"]

Item = TypeVar("Item")


async def each(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, jobs: int
) -> None:
    """Do the work for every item, so many at a time; the first failure ends the others."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    try:
        async with anyio.create_task_group() as group:
            for _ in range(jobs):
                group.start_soon(worker)
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
