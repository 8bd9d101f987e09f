"""Times as Go writes them: `1h30m`, `1.5s`, `250ms`."""

from __future__ import annotations

import re
from fractions import Fraction

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_LONGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """The nanoseconds that `text` stands for."""
    invalid = DockerfileError(f"time: invalid duration {quoted(text)}")
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if digits == "0":
        return 0
    total = Fraction(0)
    at = 0
    while at < len(digits) or not at:
        part = _PART.match(digits, at)
        if not part:
            raise invalid
        if not part[2]:
            raise DockerfileError(f"time: missing unit in duration {quoted(text)}")
        if part[2] not in _UNITS:
            unit = quoted(part[2])
            raise DockerfileError(f"time: unknown unit {unit} in duration {quoted(text)}")
        total += Fraction(part[1].strip(".") or "0") * _UNITS[part[2]]
        at = part.end()
    if total > _LONGEST:
        raise invalid
    return sign * int(total)
