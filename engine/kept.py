"""Files that are worked out once and kept in the store."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

# What stands after a kept file's bytes: their checksum.
_CHECKED = struct.Struct("<I")


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a file, which is made if it is not there or not whole."""
    try:
        made, checked = path.read_bytes(), _CHECKED.size
        if _CHECKED.unpack(made[-checked:]) == (zlib.crc32(made[:-checked]),):
            return made[:-checked]
    except (OSError, struct.error):
        pass
    made = make()
    # Every engine has the same process number.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    try:
        draft.write_bytes(made + _CHECKED.pack(zlib.crc32(made)))
        draft.replace(path)
    except OSError:  # no room: it is made again the next time
        draft.unlink(missing_ok=True)
    return made
