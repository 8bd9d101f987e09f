"""The engine's first steps, as little as tells a client its port: what takes time comes after.

python -m engine.start [--workdir FOLDER]     in the namespaces that `launcher` makes
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from pathlib import Path

from engine import linux
from engine.errors import EngineError
from engine.requirements import complaint
from engine.settings import Settings
from engine.store import Store

RUN_FOLDER = Path("/run/brewline")


def main(arguments: list[str]) -> int:
    """Serve a session; the exit status: 0, or 3 if the machine does not let us."""
    # The client decides when to end: it closes standard input, also after a Ctrl-C of its user.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing of what is imported goes away, and looking for it takes a tenth of the start.
    # `serve` enables it again.
    gc.disable()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    token = os.urandom(24).hex()
    try:
        if lacking := complaint():
            raise EngineError(lacking)
        _prepare_mounts()
        settings = Settings.from_env(os.environ, _workdir(arguments))
        store = Store(settings.store)
    except (EngineError, OSError) as error:
        print(f"the embedded engine cannot start: {error}", file=sys.stderr)
        return 3
    # The client connects and waits in the socket's queue while the rest is imported.
    port = listener.getsockname()[1]
    print(f'{{"port": {port}, "session_token": "{token}"}}', flush=True)
    from engine.serve import serve

    serve(settings, store, listener, token)
    return 0


def _workdir(arguments: list[str]) -> Path:
    """The client's folder, named as the Dagger CLI has it; other options are of no use here."""
    for name, value in zip(arguments, arguments[1:], strict=False):
        if name == "--workdir":
            return Path(value).absolute()
    return Path.cwd()


def _prepare_mounts() -> None:
    """Memory for what must not touch the disk, and our own namespace names and cgroups."""
    for folder in (RUN_FOLDER, Path("/run/netns")):
        folder.mkdir(parents=True, exist_ok=True)
        linux.mount("tmpfs", str(folder), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0700")
    # crun refuses a machine that has both versions of cgroups.
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        linux.mount("cgroup2", "/sys/fs/cgroup", "cgroup2")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
