"""Terminals of containers, each joined to the user's."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import termios
from collections.abc import Sequence
from contextlib import suppress

from engine.executor.scrubber import Scrubber
from engine.lazy import ended, finished

_BLOCK = 65536
_BACKLOG = 1 << 18
"""Bytes under way to one side at most; who writes more waits, as at any terminal."""

_RESIZE_MS = 250
_IDLE_MS = 50
"""After this silence what might be the beginning of a secret is shown: somebody is typing it."""

_LINGER_MS = 1000
_FIRST = 4096


class Console:
    """The user's terminal, in raw mode, for one command: keys go in, what it writes comes out.

    `first` is the beginning of what was shown.
    """

    def __init__(self, terminal: int, secrets: Sequence[bytes] = ()) -> None:
        self.first = b""
        self._terminal = terminal
        self._secrets = secrets

    @property
    def size(self) -> dict[str, int]:
        """The user's window in the form of the runtime specification.

        The command starts with it: it may ask for it before it can be joined.
        """
        rows, columns = termios.tcgetwinsize(self._terminal)
        return {"height": rows, "width": columns}

    async def join(self, listening: socket.socket, over: asyncio.Future[int]) -> None:
        """Be the terminal of the command that sends its own to a socket.

        That goes on until the command is `over` or has closed its side, or the user is gone; a
        command that is not over then is hung up on.
        """
        master = await _received(listening, over)
        if master is None:  # the command did not start
            return
        stop = os.eventfd(0)
        relay = _Relay(self._terminal, master, stop, Scrubber(self._secrets))
        work = asyncio.ensure_future(asyncio.to_thread(relay.run))
        try:
            await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            os.eventfd_write(stop, 1)
            await finished(work)
            os.close(stop)
            os.close(master)
            self.first = bytes(relay.first)


async def _received(listening: socket.socket, over: asyncio.Future[int]) -> int | None:
    """The descriptor that crun sends, or None where it ends without sending one."""
    loop = asyncio.get_running_loop()
    accepting = asyncio.ensure_future(loop.sock_accept(listening))
    try:
        await asyncio.wait((accepting, over), return_when=asyncio.FIRST_COMPLETED)
        if not accepting.done():
            return None
        with accepting.result()[0] as connection:
            connection.setblocking(True)
            _, descriptors, _, _ = await finished(
                asyncio.to_thread(socket.recv_fds, connection, 1024, 1)
            )
        return descriptors[0] if descriptors else None
    finally:
        await ended(accepting)


class _Relay:
    """Carries bytes between two terminals, in a thread of its own.

    Window sizes are followed by asking: the signal that tells of a change goes to the programs
    that the user's terminal controls, and the engine is none of them.
    """

    def __init__(self, terminal: int, master: int, stop: int, scrubber: Scrubber) -> None:
        self.first = bytearray()
        self._terminal = terminal
        self._master = master
        self._stop = stop
        self._scrubber = scrubber
        self._keys = bytearray()
        self._shown = bytearray()
        self._size = b""
        self._unsure = False

    def run(self) -> None:
        """Carry on until told to stop or until one side is closed; then show what is left."""
        for descriptor in (self._terminal, self._master):
            os.set_blocking(descriptor, False)
        with suppress(OSError):  # one side is closed
            while self._step():
                pass
        with suppress(OSError):  # there is no more
            while data := os.read(self._master, _BLOCK):
                self._show(data)
        self._show(b"", whole=True)
        self._linger()

    def _step(self) -> bool:
        """Wait for something to carry, and carry it; False if told to stop, or the user is gone.

        Raises OSError if a side is closed.
        """
        self._resize()
        waiting = select.poll()
        waiting.register(self._stop, select.POLLIN)
        waiting.register(self._terminal, _wanted(reads=self._keys, writes=self._shown))
        waiting.register(self._master, _wanted(reads=self._shown, writes=self._keys))
        ready = dict(waiting.poll(_IDLE_MS if self._unsure else _RESIZE_MS))
        if self._stop in ready:
            return False
        if not ready and self._unsure:
            self._show(b"", whole=True)
        if ready.get(self._terminal, 0) & ~select.POLLOUT:
            keys = os.read(self._terminal, _BLOCK)
            if not keys:
                return False
            self._keys += keys
        if ready.get(self._master, 0) & ~select.POLLOUT:
            self._show(os.read(self._master, _BLOCK))
        _write(self._master, self._keys)
        _write(self._terminal, self._shown)
        return True

    def _show(self, data: bytes, *, whole: bool = False) -> None:
        shown = self._scrubber.end() if whole else self._scrubber.feed(data)
        self._unsure = not whole
        self._shown += shown
        if len(self.first) < _FIRST:
            self.first += shown

    def _resize(self) -> None:
        size = fcntl.ioctl(self._terminal, termios.TIOCGWINSZ, bytes(8))
        if size != self._size:
            self._size = size
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _linger(self) -> None:
        """Show the rest to a user who may not be there any more, or not for long."""
        waiting = select.poll()
        waiting.register(self._terminal, select.POLLOUT)
        with suppress(OSError):
            while self._shown and waiting.poll(_LINGER_MS):
                _write(self._terminal, self._shown)


def _wanted(*, reads: bytearray, writes: bytearray) -> int:
    """What to wait for at a side whose input goes to `reads` and that is to get `writes`."""
    return (select.POLLIN if len(reads) < _BACKLOG else 0) | (select.POLLOUT if writes else 0)


def _write(descriptor: int, data: bytearray) -> None:
    if data:
        with suppress(BlockingIOError):
            del data[: os.write(descriptor, data[:_BLOCK])]
