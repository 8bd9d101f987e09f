"""Work done in threads beside the one that gives it out, which waits when too much is waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["for_each"]

_Item = TypeVar("_Item")
_WORKERS = 2
_WAITING = 8


def for_each(items: Iterable[_Item], work: Callable[[_Item], None]) -> None:
    """Do the work for every item while the next ones are made; raises what the work raised."""
    with ThreadPoolExecutor(_WORKERS) as workers:
        waiting: deque[Future[None]] = deque()
        for item in items:
            waiting.append(workers.submit(work, item))
            if len(waiting) > _WAITING:
                waiting.popleft().result()
        for begun in waiting:
            begun.result()
