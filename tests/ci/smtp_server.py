"""A mail server on loopback that takes one kind of conversation and keeps what it was given."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message


@dataclass(slots=True)
class Mailbox:
    """What arrived; `password` is what the client logged in with, over TLS or not at all."""

    tls: ssl.SSLContext | None = None
    refuse: bool = False
    port: int = 0
    encrypted: bool = False
    password: str | None = None
    recipients: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it leaves."""
        await _send(writer, "220 ready")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                await _send(writer, *self._greeting())
            elif verb == "STARTTLS" and self.tls:
                await _send(writer, "220 go ahead")
                await writer.start_tls(self.tls)
                self.encrypted = True
            elif verb == "AUTH":
                self.password = base64.b64decode(line.split()[2]).decode().split("\0")[2]
                await _send(writer, "235 welcome")
            elif verb == "RCPT":
                self.recipients.append(line.partition(":")[2].strip("<>"))
                await _send(writer, "550 unknown here" if self.refuse else "250 ok")
            elif verb == "DATA":
                await _send(writer, "354 send it")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.messages.append(message_from_string(text.removesuffix("\r\n.\r\n")))
                await _send(writer, "250 kept")
            elif verb == "QUIT":
                await _send(writer, "221 bye")
                break
            else:
                await _send(writer, "250 ok")
        writer.close()

    def _greeting(self) -> list[str]:
        if self.encrypted:
            return ["250-hello", "250 AUTH PLAIN"]
        return ["250-hello", "250 STARTTLS"] if self.tls else ["250 hello"]


async def _send(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


@contextlib.contextmanager
def listening(mailbox: Mailbox) -> Iterator[Mailbox]:
    """Serve `mailbox` on a free port of loopback, in a thread of its own."""
    ready = threading.Event()
    stop: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def main() -> None:
        nonlocal stop, loop
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(mailbox.serve, "127.0.0.1", 0) as server:
            mailbox.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait(10)
    try:
        yield mailbox
    finally:
        if loop and stop:
            loop.call_soon_threadsafe(stop.set)
        thread.join(10)
