"""What a command writes, with secrets taken out before anything is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

MASK = b"***"


class Scrubber:
    """Replaces secret values in a stream, also where a value is split over several writes."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        # Longest first: a value may hold another one.
        self._secrets = sorted((s for s in secrets if s), key=len, reverse=True)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on after `data`: the beginning of a secret is held back."""
        if not self._secrets:
            return data
        text = self._replaced(self._held + data)
        keep = self._beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> bytes:
        """What was held back and turned out to be no secret."""
        rest, self._held = self._held, b""
        return rest

    def _replaced(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _beginning(self, text: bytes) -> int:
        """The length of the longest end of `text` that a secret begins with."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:length]):
                    longest = length
                    break
        return longest


class Output:
    """The streams of one command, apart and together, without secrets.

    With a `limit` (bytes) only the end of each is kept: a service may run for long.
    """

    def __init__(self, secrets: Sequence[bytes] = (), *, limit: int | None = None) -> None:
        self._secrets = secrets
        self._limit = limit
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.combined = bytearray()

    async def collect(self, out: asyncio.StreamReader, err: asyncio.StreamReader) -> None:
        """Read both streams to their ends."""
        await asyncio.gather(self._read(out, self.stdout), self._read(err, self.stderr))

    async def _read(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        scrubber = Scrubber(self._secrets)
        while data := await stream.read(65536):
            self._add(scrubber.feed(data), into)
        self._add(scrubber.end(), into)

    def _add(self, data: bytes, into: bytearray) -> None:
        for kept in (into, self.combined):
            kept += data
            if self._limit is not None and len(kept) > 2 * self._limit:
                del kept[: -self._limit]


def text(data: bytes | bytearray) -> str:
    """Bytes as text; what is not UTF-8 becomes replacement characters."""
    return bytes(data).decode(errors="replace")
