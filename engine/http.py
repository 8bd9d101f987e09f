"""A small HTTP/1.1 server on h11: what a session needs, at a tenth of the start of a framework."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import h11

from engine.lazy import ended

_BLOCK = 1 << 18
MOST_BYTES = 256 << 20
"""The longest body that is read: contents of files travel inside a query."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its whole body; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers requests on a bound socket; a client that goes away has its request cancelled."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to answer."""
        self._server = await asyncio.start_server(self._connected, sock=listener)

    async def close(self) -> None:
        """Take no more requests, and cancel those that are not answered yet."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await _Connection(reader, writer, self._handler).run()
        except (OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the client is gone, or does not speak HTTP
        finally:
            self._clients.discard(task)
            writer.close()


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        while (request := await self._request()) is not None:
            response = await self._handled(request)
            if response is None:
                return
            await self._send(response)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _request(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_BLOCK))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BYTES:
                    await self._send(Response(413, b"the query is too long\n"))
                    return None
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in head.headers}
                return Request(head.method.decode(), head.target.decode(), headers, bytes(body))
            else:
                return None  # the client has closed the connection

    async def _handled(self, request: Request) -> Response | None:
        """The answer, or None if the client went away before there was one."""
        work = asyncio.ensure_future(self._handler(request))
        more = asyncio.ensure_future(self._reader.read(_BLOCK))
        try:
            await asyncio.wait((work, more), return_when=asyncio.FIRST_COMPLETED)
            if more.done():
                if not more.result() and not work.done():
                    return None
                self._http.receive_data(more.result())
            return await work
        finally:
            for task in (work, more):
                await ended(task)

    async def _send(self, response: Response) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
        ]
        parts = [
            self._http.send(h11.Response(status_code=response.status, headers=headers)),
            self._http.send(h11.Data(data=response.body)),
            self._http.send(h11.EndOfMessage()),
        ]
        self._writer.write(b"".join(part for part in parts if part))
        await self._writer.drain()
