"""Streams that count and digest what passes through them."""

from __future__ import annotations

import hashlib
import io
from typing import Any, BinaryIO, Protocol

from engine.errors import EngineError

BLOCK = 1 << 20


class LayerError(EngineError):
    """Raised for a layer that cannot be written, read or trusted."""


class Writer(Protocol):
    """Anything bytes can be written to."""

    def write(self, data: bytes, /) -> Any:
        """Take `data`."""


class DigestWriter:
    """Passes on what is written to it; knows its SHA-256 and its size."""

    def __init__(self, target: Writer | None) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """`sha256:…` of everything so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._hash.update(data)
        self.size += len(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)

    def tell(self) -> int:
        """How much was written."""
        return self.size


class DigestReader(io.RawIOBase):
    """Passes on what is read from it; knows its SHA-256 and its size."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._seen = DigestWriter(None)

    @property
    def digest(self) -> str:
        """`sha256:…` of everything so far."""
        return self._seen.digest

    @property
    def size(self) -> int:
        """How much was read."""
        return self._seen.size

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, as io.RawIOBase defines it."""
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._seen.write(data)
        return len(data)

    def drain(self) -> None:
        """Read to the end."""
        while self.read(BLOCK):
            pass
