"""The signals of STOPSIGNAL."""

from __future__ import annotations

import re
import signal

from engine.dockerfile.errors import DockerfileError

_REAL_TIME = re.compile(r"RTMIN(\+\d{1,2})?|RTMAX(-\d{1,2})?")
_HIGHEST = 64


def checked(text: str) -> str:
    """`text`, which names a signal or is a number of one. Raises DockerfileError."""
    name = text.upper().removeprefix("SIG")
    if name.isdigit():
        known = 0 < int(name) <= _HIGHEST
    else:
        known = hasattr(signal, f"SIG{name}") or _REAL_TIME.fullmatch(name) is not None
    if not known or name.startswith("_"):
        raise DockerfileError(f"invalid signal: {text}")
    return text
