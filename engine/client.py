"""The way from the engine back to its client's terminal, found while the client is in sight.

The engine's standard streams are the SDK's pipes, and its process namespace is its own. What leads
to the terminal is the client's folder in the host's /proc, opened by the process that the client
started. That process is on the way of every start, so nothing slow is imported here.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress

CLIENT = "BREWLINE_CLIENT"
"""The variable with the descriptor of the client's folder in /proc."""

RESTORER = "BREWLINE_RESTORER"
"""The variable with the descriptor by which the restorer is told of the terminal's settings."""

# Outside the engine's namespaces, so that it outlives a `kill -9` of the engine: it reads the
# settings to go back to, and applies them when nobody is left who could change them. An empty
# line says that there is nothing to put back.
_RESTORE = 'while read -r line; do saved=$line; done; [ -z "$saved" ] || stty "$saved" <&1'


def remember_client(env: MutableMapping[str, str]) -> None:
    """Hold on to the way to the parent's terminal; `env` tells the engine proper of it.

    Where the client has no terminal nothing is started.
    """
    for name in (CLIENT, RESTORER):
        env.pop(name, None)
    try:
        client = os.open(f"/proc/{os.getppid()}", os.O_RDONLY | os.O_DIRECTORY)
        terminal = open_terminal(client)
    except OSError:
        return
    with suppress(OSError):  # without sh and stty only a killed engine leaves traces
        env[RESTORER] = str(_started_restorer(terminal))
    os.close(terminal)
    os.set_inheritable(client, True)
    env[CLIENT] = str(client)


def _started_restorer(terminal: int) -> int:
    """Start the process that puts the terminal back; the descriptor by which it is told how."""
    import subprocess  # for those only who have a terminal

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


def open_terminal(client: int) -> int:
    """A descriptor of the client's terminal. Raises OSError if it has none."""
    terminal = os.open("fd/0", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=client)
    try:
        os.get_terminal_size(terminal)  # answered by terminals alone
    except OSError:
        os.close(terminal)
        raise
    return terminal
