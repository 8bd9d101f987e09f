"""The user's own terminal: the one of the program whose child the engine is.

It is used raw, so that the container's terminal is the one that knows what keys mean.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from engine.client import CLIENT, RESTORER, open_terminal
from engine.errors import EngineError

_NONE = "there is no terminal: run the program with a terminal as its standard input"
_BACKGROUND = "the program is in the background: bring it to the foreground of its terminal"


@dataclass(frozen=True, slots=True)
class ClientTerminal:
    """The way to the client's terminal, and to the process that puts it back after a `kill -9`."""

    client: int | None = None
    restorer: int | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who uses the terminal: it is one, and sessions may be several."""

    @classmethod
    def from_env(cls, env: MutableMapping[str, str]) -> ClientTerminal:
        """What `remember_client` left in `env`, taken out of it: no child of ours needs it."""
        found = [env.pop(name, None) for name in (CLIENT, RESTORER)]
        client, restorer = (None if text is None else int(text) for text in found)
        for number in (client, restorer):
            if number is not None:
                os.set_inheritable(number, False)
        return cls(client, restorer)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the terminal. Raises EngineError if there is none for us to use."""
        if self.client is None:
            raise EngineError(_NONE)
        try:
            terminal = open_terminal(self.client)
        except OSError:
            raise EngineError(_NONE) from None
        try:
            if self._in_background(terminal):
                raise EngineError(_BACKGROUND)
            yield terminal
        finally:
            os.close(terminal)

    def _in_background(self, terminal: int) -> bool:
        """Whether another program of the client's terminal has the user's keys."""
        assert self.client is not None
        with open(os.open("stat", os.O_RDONLY, dir_fd=self.client)) as file:
            fields = file.read().rpartition(")")[2].split()
        group, controlling, foreground = fields[2], int(fields[4]), fields[5]
        # Its standard input may be a terminal that is not the one that controls it.
        return controlling == _device(terminal) and group != foreground

    @contextmanager
    def raw(self, terminal: int) -> Iterator[None]:
        """Pass every key on as it is, Ctrl-C too, until the end: then all is as it was."""
        before = termios.tcgetattr(terminal)
        self._tell(_written(before))
        try:
            # Not after what is still to be written: a stopped terminal would stop us.
            tty.setraw(terminal, termios.TCSANOW)
            yield
        finally:
            with suppress(termios.error):  # closed by its user
                termios.tcsetattr(terminal, termios.TCSANOW, before)
            self._tell("")

    def _tell(self, settings: str) -> None:
        if self.restorer is not None:
            with suppress(OSError):
                os.write(self.restorer, f"{settings}\n".encode())


def _device(terminal: int) -> int:
    """The terminal's device number in the form of /proc: the kernel's own."""
    number = os.fstat(terminal).st_rdev
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _written(settings: list[int | list[bytes | int]]) -> str:
    """Terminal settings in the form that `stty` reads back."""
    flags, characters = settings[:4], settings[6]
    assert isinstance(characters, list)
    numbers = [c if isinstance(c, int) else c[0] for c in characters]
    return ":".join(f"{number:x}" for number in [*flags, *numbers])
