"""From a layer as registries keep it to a directory that an overlay can take as a layer.

A layer comes from strangers: nothing is ever written outside the directory. Every name is
resolved from the directory's descriptor, by one component after the other; a symbolic link on
the way is followed with the directory as its root.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.linux import open_in_root
from engine.oci.layer import OPAQUE, WHITEOUT, Layer, is_whiteout, layer_attributes
from engine.oci.streams import BLOCK, DigestReader, LayerError, decompressed

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_AUFS = ".wh..wh."
_OVERLAY_OPAQUE = "trusted.overlay.opaque"


def unpack(source: BinaryIO, directory: Path, *, digest: str = "", diff_id: str = "") -> Layer:
    """Unpack the layer `source` (a tar: gzip, zstd or plain) into the empty `directory`.

    Needs root. Raises LayerError for what is no layer, for names that lead out of `directory`,
    and where the content has another `digest` or `diff_id` than the given one.
    """
    blob = DigestReader(source)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tar = DigestReader(decompressed(blob))
        with tarfile.open(
            fileobj=tar,  # type: ignore[call-overload]  # it only reads
            mode="r|",
            bufsize=BLOCK,
            encoding="utf-8",
            errors="surrogateescape",
        ) as members:
            _Unpacker(root, members).run()
        tar.drain()
        blob.drain()
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise LayerError(f"this is no layer, or a damaged one: {error}") from None
    except OSError as error:
        raise LayerError(f"the layer cannot be unpacked: {error}") from error
    finally:
        os.close(root)
    _check("digest", digest, blob.digest)
    _check("diff id", diff_id, tar.digest)
    return Layer(digest=blob.digest, diff_id=tar.digest, size=blob.size)


def _check(what: str, expected: str, found: str) -> None:
    if expected and expected != found:
        raise LayerError(f"the layer's {what} is {found}, not {expected}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A name in an open directory."""

    folder: int
    name: str
    path: str
