"""One engine process: a session on a port of loopback until its client closes standard input."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine import http, linux, schema
from engine.errors import EngineError
from engine.lazy import Lazy, ended
from engine.server import Answer, Api
from engine.settings import Settings
from engine.store import Store
from engine.terminal import ClientTerminal
from engine.tidying import tidied

if TYPE_CHECKING:
    from engine.session import Session
    from engine.typesystem import TypeSystem

RUN_FOLDER = Path("/run/brewline")


def serve(workdir: Path) -> int:
    """Serve a session; the exit status: 0, or 3 if the machine does not let us."""
    # The client decides when to end: it closes standard input, also after a Ctrl-C of its user.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    token = secrets.token_hex(24)
    try:
        _prepare_mounts()
        settings = Settings.from_env(os.environ, workdir)
        store = Store(settings.store)
    except (EngineError, OSError) as error:
        print(f"the embedded engine cannot start: {error}", file=sys.stderr)
        return 3
    # Told before the slow imports: the client connects and waits in the socket's queue meanwhile.
    port = listener.getsockname()[1]
    print(json.dumps({"port": port, "session_token": token}), flush=True)
    asyncio.run(_serve(settings, store, listener, token))
    return 0


def _prepare_mounts() -> None:
    """Memory for what must not touch the disk, and our own namespace names and cgroups."""
    for folder in (RUN_FOLDER, Path("/run/netns")):
        folder.mkdir(parents=True, exist_ok=True)
        linux.mount("tmpfs", str(folder), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0700")
    # crun refuses a machine that has both versions of cgroups.
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        linux.mount("cgroup2", "/sys/fs/cgroup", "cgroup2")


async def _serve(settings: Settings, store: Store, listener: socket.socket, token: str) -> None:
    sessions: list[Session] = []
    client = ClientTerminal.from_env(os.environ)

    async def answer() -> Answer:
        query, types = await asyncio.to_thread(_slow_imports, store)
        from engine.session import Session

        session = Session(settings, store, RUN_FOLDER, types, client)
        sessions.append(session)
        return functools.partial(query.answer, session.calls)

    introspection = Lazy(lambda: asyncio.to_thread(schema.introspection, store.path))
    ready = Lazy(answer)
    server = http.Server(Api(introspection, ready, token))
    await server.start(listener)
    loading = asyncio.create_task(ready.get())
    tidying = asyncio.create_task(tidied(settings))
    try:
        await _end_of_input()
    finally:
        # Nothing may be left for asyncio itself to cancel: see `process.spawn`.
        await server.close()
        await ended(loading)
        await ended(tidying)
        for session in sessions:
            await session.close()
        store.close()


def _slow_imports(store: Store) -> tuple[ModuleType, TypeSystem]:
    from engine import api, query
    from engine.document import RECURSION_LIMIT

    api.load()
    sys.setrecursionlimit(RECURSION_LIMIT)
    return query, schema.load(store.path)


async def _end_of_input() -> None:
    """Wait until standard input is closed, or until we are told to end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def read() -> None:
        while await reader.read(4096):
            pass
        ended.set()

    reading = asyncio.create_task(read())
    await ended.wait()
    reading.cancel()
