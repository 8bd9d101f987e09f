"""A small HTTP/1.1 server on h11: what a session needs, at a tenth of the start of a framework.

Strangers can connect to a port of loopback too: until a request's head is admitted nothing of it
is kept, and nothing is waited for long.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import h11

from engine.lazy import ended

_BLOCK = 1 << 18
_MOST_STRANGERS = 256
_SILENCE_SECONDS = 30
"""How long the next part of a request that has begun may take."""
_LINGER_SECONDS = 5
MOST_BYTES = 24 << 20
"""The longest body that is kept: contents of files travel inside a query."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a request begins with; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; a body in blocks is sent as they come."""

    status: int
    body: bytes | Iterator[bytes]
    content_type: str = "text/plain; charset=utf-8"


class Handler(Protocol):
    """Decides about requests by their heads, and answers those that it lets in."""

    def refusal(self, head: Head) -> Response | None:
        """Why a request is not let in; None if it is."""

    def too_long(self) -> Response:
        """The answer to a request whose body is longer than `MOST_BYTES`."""

    def answer(self, body: bytearray) -> Awaitable[Response]:
        """The answer to a request that was let in."""


class Server:
    """Answers requests on a bound socket; a client that goes away has its request cancelled."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._clients: set[asyncio.Task[None]] = set()
        # In the order in which they came.
        self._strangers: dict[asyncio.Task[None], None] = {}
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
        if len(self._strangers) >= _MOST_STRANGERS:
            next(iter(self._strangers)).cancel()
        self._clients.add(task)
        self._strangers[task] = None
        try:
            await _Connection(reader, writer, self._handler, self._trust).run()
        except (OSError, h11.LocalProtocolError, asyncio.CancelledError):
            pass  # the client is gone, or silent
        finally:
            self._clients.discard(task)
            self._strangers.pop(task, None)
            writer.close()

    def _trust(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._strangers.pop(task, None)


class _Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: Handler,
        trust: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._trust = trust
        self._http = h11.Connection(h11.SERVER)
        self._trusted = False

    async def run(self) -> None:
        try:
            await self._serve()
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._send(Response(error.error_status_hint, b"this is not HTTP/1.1\n"))
                await self._linger()

    async def _serve(self) -> None:
        while (head := await self._head()) is not None:
            refusal = self._handler.refusal(head)
            if refusal is not None:
                await self._send(refusal)
                return await self._linger()
            self._trusted = True
            self._trust()
            body = await self._body()
            response = self._handler.too_long() if body is None else await self._handled(body)
            if response is None:
                return
            del body
            await self._send(response)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _head(self) -> Head | None:
        """The head of the next request, or None if the client has closed the connection."""
        begun = False
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in event.headers}
                return Head(event.method.decode(), event.target.decode("latin-1"), headers)
            if event is not h11.NEED_DATA:
                return None
            # A client of ours may keep an unused connection for as long as it likes.
            begun = begun or not self._trusted or bool(self._http.trailing_data[0])
            await self._receive(_SILENCE_SECONDS if begun else None)

    async def _body(self) -> bytearray | None:
        """The body of a request, or None if it is too long; then it is passed over."""
        body: bytearray | None = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._receive(_SILENCE_SECONDS)
            elif isinstance(event, h11.Data):
                if body is not None and len(body) + len(event.data) > MOST_BYTES:
                    body = None
                if body is not None:
                    body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return body
            else:
                raise ConnectionResetError

    async def _receive(self, seconds: float | None) -> None:
        async with asyncio.timeout(seconds):
            self._http.receive_data(await self._reader.read(_BLOCK))

    async def _handled(self, body: bytearray) -> Response | None:
        """The answer, or None if the client went away before there was one."""
        work = asyncio.ensure_future(self._handler.answer(body))
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
        headers = [("Content-Type", response.content_type)]
        blocks: Iterator[bytes]
        if isinstance(response.body, bytes):
            headers.append(("Content-Length", str(len(response.body))))
            blocks = iter((response.body,))
        else:
            blocks = response.body
        out = self._http.send(h11.Response(status_code=response.status, headers=headers)) or b""
        for block in blocks:
            out += self._http.send(h11.Data(data=block)) or b""
            self._writer.write(out)
            out = b""
            await self._writer.drain()
        self._writer.write(self._http.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()

    async def _linger(self) -> None:
        """Pass over what is still sent for a while: closed at once, the answer would be lost."""
        self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(_BLOCK):
                    pass
