"""Streams that count and digest what passes through them, and compressed ones."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import zlib
from typing import Any, BinaryIO, Protocol, cast

from engine.errors import EngineError

BLOCK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_FORMAT = 31  # zlib's number for a gzip header, which it writes with time 0


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


class GzipWriter:
    """Compresses what is written to it; equal bytes give equal bytes."""

    def __init__(self, target: Writer, level: int) -> None:
        self._target = target
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, _GZIP_FORMAT)

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._target.write(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write what is still held back; nothing can follow."""
        self._target.write(self._compressor.flush())


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


def decompressed(source: DigestReader) -> tuple[BinaryIO, str]:
    """The bytes that `source` holds as gzip, zstd or plain, and how: "gzip", "zstd" or ""."""
    buffered = io.BufferedReader(source, BLOCK)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered, mode="rb")), "gzip"
    if magic == _ZSTD_MAGIC:
        return _zstd(buffered), "zstd"
    return buffered, ""


def _zstd(source: BinaryIO) -> BinaryIO:
    for module, opener in (("compression.zstd", "ZstdFile"), ("zstandard", "open")):
        try:
            return cast(BinaryIO, getattr(importlib.import_module(module), opener)(source, "rb"))
        except ImportError:
            continue
    raise LayerError(
        "the layer is compressed with zstd, which this Python cannot read: "
        "use Python 3.14, install the package zstandard, or push the image with gzip"
    )
