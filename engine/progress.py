"""What an engine does, as lines on its standard error: where the SDK's `log_output` shows it."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import threading
import time
from asyncio import CancelledError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_WIDTH = 100
_LINE = 4096
_BACKLOG = 1 << 20
# What of one command is shown: so much, and so much more each second.
_BURST, _RATE = 256 * 1024, 128 * 1024
_TOGETHER_SECONDS = 0.02
_CLOSING_SECONDS = 1.0
# Colours, movements of the cursor and other controls: several commands share the terminal.
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")


class Progress:
    """Numbered tasks, each with what it writes, in the plain form of the Dagger CLI."""

    def __init__(self, descriptor: int) -> None:
        self._writer = _Writer(descriptor)
        self._numbers = itertools.count(1)

    @contextmanager
    def task(self, words: Sequence[str]) -> Iterator[Task]:
        """Tell that a command begins, what it writes, and how it ends."""
        task = Task(self._writer, next(self._numbers))
        what = one_line(words)
        task.say(what)
        try:
            yield task
        except BaseException as error:
            how = "CANCELED" if isinstance(error, CancelledError) else "ERROR"
            task.end(what, how, "" if how == "CANCELED" else str(error))
            raise
        task.end(what, "DONE")

    def cached(self, words: Sequence[str]) -> None:
        """Tell of a command whose result was known."""
        Task(self._writer, next(self._numbers)).say(f"{one_line(words)} CACHED")

    def note(self, text: str) -> None:
        """Tell something that is no command."""
        Task(self._writer, next(self._numbers)).say(text)

    def close(self) -> None:
        """Write what is left, if anybody reads."""
        self._writer.close()


class Task:
    """One command's lines."""

    def __init__(self, writer: _Writer, number: int) -> None:
        self._writer = writer
        self._head = f"{number:<3} : "
        self._started = time.monotonic()
        self._rest = b""
        self._shown = 0
        self._left_out = 0

    def say(self, text: str) -> None:
        """Write a line."""
        self._writer.put(f"{self._head}{text}\n")

    def hear(self, data: bytes) -> None:
        """Write the whole lines of what the command wrote, unless it writes very much."""
        if self._shown > _BURST + _RATE * self._seconds:
            self._left_out += data.count(b"\n")
            return
        self._tell_left_out()
        self._shown += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._show(line)

    def end(self, what: str, how: str, why: str = "") -> None:
        """Tell how the command ended, after the rest of what it wrote."""
        if self._rest:
            self._show(self._rest)
        self._tell_left_out()
        first = f": {why.splitlines()[0]}" if why else ""
        self.say(f"{what} {how} [{self._seconds:.1f}s]{first}")

    def _show(self, line: bytes) -> None:
        # Of a bar that draws itself anew the last state counts.
        last = line.rstrip(b"\r").rpartition(b"\r")[2]
        for start in range(0, len(last) or 1, _LINE):
            part = last[start : start + _LINE].decode(errors="replace")
            self.say(f"[{self._seconds:.1f}s] | {_CONTROLS.sub('', part)}")

    def _tell_left_out(self) -> None:
        if self._left_out:
            self.say(f"({self._left_out} lines are not shown)")
            self._left_out = 0

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started


def one_line(words: Sequence[str]) -> str:
    """A command as one line that is not too long."""
    line = " ".join(shlex.join(words).split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


class _Writer:
    """Writes without a wait: whoever reads may be slow, and the engine must not be.

    What does not fit into `_BACKLOG` bytes is left out, and that is said.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._left_out = 0
        self._lock = threading.Lock()
        self._there_is = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        data = line.encode(errors="replace")
        with self._lock:
            if len(self._buffer) + len(data) > _BACKLOG:
                self._left_out += 1
                return
            self._buffer += data
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()
        self._there_is.set()

    def close(self) -> None:
        self._closed = True
        self._there_is.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        while True:
            self._there_is.wait()
            if not self._closed:
                time.sleep(_TOGETHER_SECONDS)  # one write for many lines
            # In this order: what is put after `_taken` sets the event, and what was put before
            # `close` is taken in the round that sees it, or in the one that it makes.
            self._there_is.clear()
            closing = self._closed
            data = self._taken()
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return  # nobody reads
            if closing:
                return

    def _taken(self) -> bytes:
        with self._lock:
            if self._left_out:
                self._buffer += f"({self._left_out} lines are not shown)\n".encode()
                self._left_out = 0
            data, self._buffer = bytes(self._buffer), bytearray()
            return data
