"""The user's own terminal: the one of the program whose child the engine is.

The engine's standard streams are the SDK's pipes, and its process namespace is its own. What leads
to the terminal is the client's folder in the host's /proc, opened before that is out of sight.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import termios
import tty
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from engine.errors import EngineError

_CLIENT = "BREWLINE_CLIENT"
_RESTORER = "BREWLINE_RESTORER"

# Outside the engine's namespaces, so that it outlives a `kill -9` of the engine: it reads the
# settings to go back to, and applies them when nobody is left who could change them. An empty
# line says that there is nothing to put back.
_RESTORE = 'while read -r line; do saved=$line; done; [ -z "$saved" ] || stty "$saved" <&1'

_NONE = "there is no terminal: run the program with a terminal as its standard input"
_BACKGROUND = "the program is in the background: bring it to the foreground of its terminal"


def remember_client(env: MutableMapping[str, str]) -> None:
    """Hold on to the way to the client's terminal; `env` tells the engine proper of it.

    For the process whose parent is the client, while its /proc is in sight. Where the client has
    no terminal nothing is started.
    """
    for name in (_CLIENT, _RESTORER):
        env.pop(name, None)
    try:
        client = os.open(f"/proc/{os.getppid()}", os.O_RDONLY | os.O_DIRECTORY)
        terminal = _opened(client)
    except (OSError, EngineError):
        return
    with suppress(OSError):  # without sh and stty only a killed engine leaves traces
        env[_RESTORER] = str(_started_restorer(terminal))
    os.close(terminal)
    os.set_inheritable(client, True)
    env[_CLIENT] = str(client)


def _started_restorer(terminal: int) -> int:
    """Start the process that puts the terminal back; the descriptor by which it is told how."""
    reading, writing = os.pipe()
    subprocess.Popen(
        ["sh", "-c", _RESTORE],
        stdin=reading,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)
    os.set_inheritable(writing, True)
    return writing


def _opened(client: int) -> int:
    """A descriptor of the client's terminal. Raises EngineError if it has none."""
    try:
        terminal = os.open("fd/0", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=client)
    except OSError:
        raise EngineError(_NONE) from None
    if not os.isatty(terminal):
        os.close(terminal)
        raise EngineError(_NONE)
    return terminal


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
        found = [env.pop(name, None) for name in (_CLIENT, _RESTORER)]
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
        terminal = _opened(self.client)
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
