"""A user at a terminal: a program on a pseudo-terminal, what it shows, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

_SECONDS = 120.0


class Screen:
    """The user's side of a terminal."""

    def __init__(self, master: int, slave: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.shown = ""
        self._master = master
        self._slave = slave
        self._seen = 0

    def wait_for(self, text: str, seconds: float = _SECONDS) -> None:
        """Wait until `text` is shown, behind what was waited for before."""
        end = time.monotonic() + seconds
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.shown}"
            self._read(0.1)
        self._seen = self.shown.index(text, self._seen) + len(text)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def settings(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._slave)

    def hang_up(self) -> None:
        """Close the window."""
        if self._master >= 0:
            os.close(self._slave)
            os.close(self._master)
        self._master = self._slave = -1

    def end(self, seconds: float = _SECONDS) -> int:
        """Wait for the program's end; its exit code, negative for a signal."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"the program goes on:\n{self.shown}"
            self._read(0.1)
        self._read(0)
        return self.process.wait()

    def _read(self, seconds: float) -> None:
        if self._master < 0:
            time.sleep(seconds)
        while self._master >= 0 and select.select([self._master], [], [], seconds)[0]:
            self.shown += os.read(self._master, 65536).decode(errors="replace")
            seconds = 0


@contextmanager
def on_a_terminal(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Screen]:
    """Run a command as the foreground of a terminal of its own; killed at the end."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=env
    )
    screen = Screen(master, slave, process)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        screen.hang_up()
