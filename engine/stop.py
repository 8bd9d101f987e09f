"""Blocking work in threads that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar

from engine.errors import EngineError

T = TypeVar("T")
_LOOK_SECONDS = 0.2


class Stopped(EngineError):
    """Nobody waits for the work any more."""

    def __init__(self) -> None:
        super().__init__("the work was given up")


class Stop:
    """Told once, from any thread: sockets that are being waited for are shut down."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def tell(self) -> None:
        """End the work."""
        with self._lock:
            self._told.set()
            for connected in self._sockets:
                _shut(connected)

    def check(self) -> None:
        """Raise Stopped if the work is to end."""
        if self._told.is_set():
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Sleep, unless the work is to end: then raise Stopped."""
        if self._told.wait(seconds):
            raise Stopped

    def watch(self, connected: socket.socket) -> None:
        """Shut this socket down when the work is to end."""
        with self._lock:
            self._sockets.add(connected)
            if self._told.is_set():
                _shut(connected)

    def forget(self, connected: socket.socket) -> None:
        """The socket is about to be closed."""
        with self._lock:
            self._sockets.discard(connected)


def _shut(connected: socket.socket) -> None:
    # Of the plain socket below TLS: that of TLS would take its state away from who is reading.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


async def in_thread(work: Callable[[Stop], T]) -> T:
    """The result of work in a thread of its own; a cancelled wait stops it.

    Not in asyncio's shared threads, which a few registries that hang would take all, and for
    which the engine waits when it ends.
    """
    stop = Stop()
    executor = ThreadPoolExecutor(1, "work")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work, stop)
    finally:
        stop.tell()
        executor.shutdown(wait=False)


class CheckedWriter:
    """Passes on what is written to it, until the work is to end."""

    def __init__(self, target: BinaryIO, stop: Stop) -> None:
        self._target = target
        self._stop = stop

    def write(self, data: bytes) -> int:
        """Take `data`. Raises Stopped."""
        self._stop.check()
        return self._target.write(data)

    def tell(self) -> int:
        """How much was written."""
        return self._target.tell()


class CheckedReader(io.RawIOBase):
    """Passes on what is read from it, until the work is to end."""

    def __init__(self, source: BinaryIO, stop: Stop) -> None:
        self._source = source
        self._stop = stop

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, as io.RawIOBase defines it. Raises Stopped."""
        self._stop.check()
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the source too."""
        self._source.close()
        super().close()


class Turns:
    """Work on the same thing happens one after the other, on different things side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    @contextmanager
    def turn(self, name: str, stop: Stop) -> Iterator[None]:
        """Wait until nobody else is at `name`. Raises Stopped."""
        with self._lock:
            lock = self._turns.setdefault(name, threading.Lock())
        while not lock.acquire(timeout=_LOOK_SECONDS):
            stop.check()
        try:
            yield
        finally:
            lock.release()
