"""How layers are compressed and read again; equal bytes give equal bytes."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

from engine.oci.streams import BLOCK, DigestReader, Writer
from engine.oci.zstd import ZstdReader, ZstdWriter

_FASTEST = 1
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_FORMAT = 31  # zlib's number for a gzip header, which it writes with time 0


class PlainWriter:
    """Passes on what is written to it."""

    def __init__(self, target: Writer) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._target.write(data)
        return len(data)

    def finish(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to let go of."""


class GzipWriter:
    """Compresses what is written to it; equal bytes give equal bytes."""

    def __init__(self, target: Writer) -> None:
        self._target = target
        self._compressor = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP_FORMAT)

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._target.write(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write what is still held back; nothing can follow."""
        self._target.write(self._compressor.flush())

    def close(self) -> None:
        """Nothing to let go of."""


def compressor(target: Writer, compression: str) -> PlainWriter | GzipWriter | ZstdWriter:
    """A writer that compresses into `target`: by "gzip", "zstd" or, as it is, ""."""
    match compression:
        case "gzip":
            return GzipWriter(target)
        case "zstd":
            return ZstdWriter(target)
    return PlainWriter(target)


def decompressed(source: DigestReader) -> tuple[BinaryIO, str]:
    """The bytes that `source` holds as gzip, zstd or plain, and how: "gzip", "zstd" or ""."""
    buffered = io.BufferedReader(source, BLOCK)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered, mode="rb")), "gzip"
    if magic == _ZSTD_MAGIC:
        return cast(BinaryIO, ZstdReader(buffered)), "zstd"
    return buffered, ""
