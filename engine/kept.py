"""Files that are worked out once and kept in the store."""

from __future__ import annotations

import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# What stands after a kept file's bytes: their checksum.
_CHECKED = struct.Struct("<I")
_DAY = 24 * 3600
_FORGOTTEN_DAYS = 30


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a file, which is made if it is not there or not whole."""
    with suppress(OSError, struct.error):
        made, checked = path.read_bytes(), _CHECKED.size
        if _CHECKED.unpack(made[-checked:]) == (zlib.crc32(made[:-checked]),):
            if _unused_days(path) > 1:
                os.utime(path)
            return made[:-checked]
    made = make()
    # Every engine has the same process number.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    try:
        draft.write_bytes(made + _CHECKED.pack(zlib.crc32(made)))
        draft.replace(path)
    except OSError:  # no room: it is made again the next time
        draft.unlink(missing_ok=True)
    return made


def forget_unused(store: Path) -> None:
    """Remove what was not used for 30 days: it is of another version of the SDK or of crun."""
    # They lay in the store itself before there was a folder for them.
    for pattern in ("kept/*", "*-*.json", "*-*.bpf"):
        for path in store.glob(pattern):
            with suppress(OSError):  # somebody else removes it, or must not
                if _unused_days(path) > _FORGOTTEN_DAYS:
                    path.unlink()


def _unused_days(path: Path) -> float:
    return (time.time() - path.stat().st_mtime) / _DAY
