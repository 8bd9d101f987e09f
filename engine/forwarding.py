"""Connections carried between the client's machine and containers' namespaces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from engine.errors import EngineError
from engine.model import PortForward
from engine.network import Network

Connecting: TypeAlias = Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@asynccontextmanager
async def into_container(
    network: Network, namespace: str, host: str, forward: PortForward
) -> AsyncIterator[None]:
    """A port of the client's machine as a port in a network namespace."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _carry(reader, writer, asyncio.open_connection(host, forward.backend))

    listener = await network.socket_in(namespace)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Every address of the namespace, which has none but loopback and the bridge's.
    listener.bind(("0.0.0.0", forward.frontend or forward.backend))
    server = await asyncio.start_server(accept, sock=listener)
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def out_of_container(
    network: Network, address: str, forward: PortForward
) -> AsyncIterator[int]:
    """A container's port as a port of the client's loopback; gives the port's number."""

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        there = await network.socket_in()
        there.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(there, (address, forward.backend))
            return await asyncio.open_connection(sock=there)
        except BaseException:
            there.close()
            raise

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _carry(reader, writer, connect())

    try:
        server = await asyncio.start_server(accept, "127.0.0.1", forward.frontend or 0)
    except OSError as error:
        raise EngineError(f"port {forward.frontend} of this machine: {error.strerror}") from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: Connecting
) -> None:
    """Carry bytes both ways until both sides have ended."""
    try:
        far_reader, far_writer = await far
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    finally:
        writer.close()
        far_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
