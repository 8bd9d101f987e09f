"""A session on a port of loopback until its client closes standard input."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from engine import http, schema
from engine.lazy import Lazy, ended
from engine.server import Answer, Api
from engine.settings import Settings
from engine.start import RUN_FOLDER
from engine.store import Store
from engine.terminal import ClientTerminal
from engine.tidying import tidied, tidied_at_last

if TYPE_CHECKING:
    from engine.session import Session
    from engine.typesystem import TypeSystem


_UNDISTURBED_SECONDS = 0.03
# A thread that holds the interpreter lets the loop have it back within this, not 5 ms, which is
# as long as half a container.
_SWITCH_SECONDS = 0.0005


def serve(settings: Settings, store: Store, listener: socket.socket, token: str) -> None:
    """Answer the client until it has closed our standard input."""
    if sys.version_info < (3, 12):  # which waits for a program without a thread of its own
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    sys.setswitchinterval(_SWITCH_SECONDS)
    asyncio.run(_serve(settings, store, listener, token))


async def _serve(settings: Settings, store: Store, listener: socket.socket, token: str) -> None:
    sessions: list[Session] = []
    client = ClientTerminal.from_env(os.environ)

    async def answer() -> Answer:
        query, types = await asyncio.to_thread(_slow_imports, store)
        from engine.session import Session

        session = Session(settings, store, RUN_FOLDER, types, client)
        sessions.append(session)
        return functools.partial(query.answer, session.calls)

    introspection = Lazy(lambda: asyncio.to_thread(schema.introspection, store.kept))
    greeting = Lazy(lambda: asyncio.to_thread(schema.greeting, store.kept))
    ready = Lazy(answer)
    server = http.Server(Api(introspection, greeting, ready, token))
    await server.start(listener)
    loading = asyncio.create_task(_load(ready))
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
        await tidied_at_last(settings)
        store.close()


async def _load(ready: Lazy[Answer]) -> None:
    """Import what the first queries need, and a little later what runs commands."""
    await ready.get()
    from engine.session import load_runtime

    # A client that only asks for what is known is not held up; another one waits no longer.
    await asyncio.sleep(_UNDISTURBED_SECONDS)
    await asyncio.to_thread(load_runtime)


def _slow_imports(store: Store) -> tuple[ModuleType, TypeSystem]:
    from engine import api, query
    from engine.document import RECURSION_LIMIT

    api.load_ordinary()
    types = schema.load(store.kept)
    gc.freeze()  # see `start`
    gc.enable()
    sys.setrecursionlimit(RECURSION_LIMIT)
    return query, types


async def _end_of_input() -> None:
    """Wait until standard input is closed, or until we are told to end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)

    def read() -> None:
        with suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(ended.set)

    # Not by the loop: it takes pipes only, and this may be a file or nothing.
    threading.Thread(target=read, daemon=True).start()
    await ended.wait()
