"""What a command writes: bounded in memory, and without secrets before anything is kept."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.executor.scrubber import Scrubber, masked

_SHORT = 64 * 1024
_BUFFERED = 256 * 1024
_IN_ERRORS = 100 * 1024
_BLOCK = 1 << 18


class Stream:
    """One stream of a command, in memory while it is short and in a file when it is not.

    With a `limit` (bytes) only the end is kept, in memory: a service may run for long.
    """

    def __init__(self, path: Callable[[], Path], limit: int | None) -> None:
        self.size = 0
        self.file: Path | None = None
        self._path = path
        self._limit = limit
        self._memory = bytearray()
        self._writing = asyncio.Lock()

    async def add(self, data: bytes) -> None:
        """Append to the stream."""
        self.size += len(data)
        self._memory += data
        if self._limit is not None:
            if len(self._memory) > 2 * self._limit:
                del self._memory[: -self._limit]
        elif len(self._memory) > _BUFFERED:
            await self._write()

    async def end(self) -> None:
        """Have all of a stream in one place."""
        if self._limit is None and self.size > _SHORT:
            await self._write()

    async def _write(self) -> None:
        async with self._writing:
            self.file = self.file or self._path()
            written, self._memory = self._memory, bytearray()
            # Not in the loop: a slow disk must not hold up everybody else.
            await asyncio.to_thread(_append, self.file, written)

    def replace(self, data: bytes) -> None:
        """Have written something else, which is short."""
        self.size, self._memory = len(data), bytearray(data)

    def short(self) -> bytes:
        """All of a stream that is in no file."""
        return bytes(self._memory)

    def tail(self) -> str:
        """The end of the stream as errors carry it; the real engine cuts at the same place."""
        if self.size <= _IN_ERRORS:
            return text(self._last(self.size))
        note = f"[omitting {self.size - _IN_ERRORS} bytes]...".encode()
        return text(note + self._last(_IN_ERRORS - len(note)))

    def _last(self, size: int) -> bytes:
        if self.file is None:
            return bytes(self._memory[-size:])
        with self.file.open("rb") as file:
            file.seek(-size, os.SEEK_END)
            return file.read()

    def copy_to(self, fd: int) -> None:
        """Write all of the stream to an open file."""
        with os.fdopen(os.dup(fd), "wb") as target:
            if self.file is None:
                target.write(self._memory)
            else:
                with self.file.open("rb") as source:
                    shutil.copyfileobj(source, target, _BLOCK)


class Output:
    """The streams of one command, apart and together, without secrets.

    `folder` makes the folder for what is too long for memory; `close` removes it.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        folder: Callable[[], Path],
        *,
        limit: int | None = None,
    ) -> None:
        self._secrets = secrets
        self._make_folder = folder
        self.heard: Callable[[bytes], None] | None = None
        """Who is told of all output as it comes."""
        self.folder: Path | None = None
        """Where long streams are, each under its own name; None if all are short."""
        self.stdout, self.stderr, self.combined = (
            Stream(self._place(name), limit) for name in ("stdout", "stderr", "combined")
        )

    def _place(self, name: str) -> Callable[[], Path]:
        def path() -> Path:
            self.folder = self.folder or self._make_folder()
            return self.folder / name

        return path

    async def collect(self, out: asyncio.StreamReader, err: asyncio.StreamReader) -> None:
        """Read both streams to their ends."""
        reading = [
            asyncio.ensure_future(self._read(source, stream))
            for source, stream in ((out, self.stdout), (err, self.stderr))
        ]
        try:
            await asyncio.gather(*reading)
        finally:
            for each in reading:
                each.cancel()
        await asyncio.gather(self.stdout.end(), self.stderr.end(), self.combined.end())
        if self.combined.file is not None and self.combined not in self.streams:
            self.combined.file.unlink()

    async def _read(self, source: asyncio.StreamReader, stream: Stream) -> None:
        scrubber = Scrubber(self._secrets)
        begun = b""
        while data := await source.read(_BLOCK):
            data = begun + scrubber.feed(data)
            # The other stream must not come into the middle of a character.
            whole = _whole_characters(data)
            begun = data[whole:]
            await self._add(data[:whole], stream)
        await self._add(begun + scrubber.end(), stream)

    async def _add(self, data: bytes, stream: Stream) -> None:
        if data:
            await stream.add(data)
            await self.combined.add(data)
            if self.heard is not None:
                self.heard(data)

    def replace_stderr(self, said: str) -> None:
        """Have the command have said this and nothing else."""
        data = masked(said, self._secrets).encode()
        self.stderr.replace(data)
        self.combined.replace(data)

    @property
    def streams(self) -> tuple[Stream, Stream, Stream]:
        """Standard output, standard error, and both together: where one is empty, the other."""
        if not self.stderr.size:
            return self.stdout, self.stderr, self.stdout
        return self.stdout, self.stderr, self.combined if self.stdout.size else self.stderr

    def close(self) -> None:
        """Remove the files, unless they were moved to where they are kept."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _whole_characters(data: bytes) -> int:
    """How many bytes there are before a character that is not all there, in UTF-8."""
    for back, byte in enumerate(reversed(data[-3:]), 1):
        if byte < 0x80:
            break
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if length > back else len(data)
    return len(data)


def _append(path: Path, data: bytearray) -> None:
    with path.open("ab") as file:
        file.write(data)


def text(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 becomes replacement characters."""
    return data.decode(errors="replace")
