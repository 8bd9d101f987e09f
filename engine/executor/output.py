"""What a command writes, with secrets taken out before anything is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

MASK = b"***"


class Scrubber:
    """Replaces secret values in a stream, also where a value is split over several writes.

    Values that overlap are replaced as one, so that no rest of either is left.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = {secret for secret in secrets if secret}
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on after `data`: the beginning of a secret is held back."""
        if not self._secrets:
            return data
        text = self._held + data
        found = self._found(text)
        keep = min((_beginning(text, secret) for secret in self._secrets), default=len(text))
        # What follows may make a value that reaches over there longer.
        keep = next((start for start, end in found if start < keep < end), keep)
        self._held = text[keep:]
        return _masked(text[:keep], [part for part in found if part[0] < keep])

    def end(self) -> bytes:
        """What was held back, which is the whole of a secret or of none."""
        rest, self._held = self._held, b""
        return _masked(rest, self._found(rest))

    def _found(self, text: bytes) -> list[tuple[int, int]]:
        """Where secrets are, from and to; those that overlap are one."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted(part for s in self._secrets for part in _each(text, s)):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged


def _each(text: bytes, secret: bytes) -> Iterator[tuple[int, int]]:
    start = text.find(secret)
    while start >= 0:
        yield start, start + len(secret)
        start = text.find(secret, start + 1)


def _beginning(text: bytes, secret: bytes) -> int:
    """Where the longest end of `text` begins that `secret` goes on from; its length if nowhere."""
    start = text.find(secret[:1], max(0, len(text) - len(secret) + 1))
    while start >= 0 and not secret.startswith(text[start:]):
        start = text.find(secret[:1], start + 1)
    return len(text) if start < 0 else start


def _masked(text: bytes, parts: Sequence[tuple[int, int]]) -> bytes:
    whole, at = [], 0
    for start, end in parts:
        whole += [text[at:start], MASK]
        at = end
    return b"".join([*whole, text[at:]])


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
