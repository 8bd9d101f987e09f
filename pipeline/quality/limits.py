"""How far a run may be from what is usual: defaults, and a lake's own in its `limits.toml`."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.quality.check import Check, Status

__all__ = ["LIMITS_FILE", "Limit", "Limits", "read_limits"]

LIMITS_FILE = "limits.toml"


@dataclass(frozen=True, slots=True)
class Limit:
    """A share above `warn` is warned of, one above `fail` fails the run; None: any is good."""

    warn: float | None = None
    fail: float | None = None

    def judge(self, share: float) -> Status:
        for status, bound in ((Status.FAIL, self.fail), (Status.WARN, self.warn)):
            if bound is not None and share > bound:
                return status
        return Status.PASS

    def __str__(self) -> str:
        bounds = (("warns above", self.warn), ("fails above", self.fail))
        told = [f"{word} {100 * bound:.4g}%" for word, bound in bounds if bound is not None]
        return ", ".join(told) or "no limit"


def _limit(warn: float | None, fail: float | None) -> Limit:
    return field(default=Limit(warn, fail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one lake, all of them shares from 0 to 1.

    `quarantined` and `duplicates` are of bronze's rows, `unknown_types` of silver's. The others
    compare with the last good run: shares of its rows, partitions and columns, and by how much the
    share of nulls in a column grew.
    """

    quarantined: Limit = _limit(0.02, 0.5)
    duplicates: Limit = _limit(0.05, 0.5)
    unknown_types: Limit = _limit(0.0, None)
    rows_lost: Limit = _limit(0.05, 0.5)
    rows_gained: Limit = _limit(0.25, None)
    partitions_lost: Limit = _limit(0.05, 0.5)
    partitions_gained: Limit = _limit(0.25, None)
    nulls_risen: Limit = _limit(0.05, 0.5)
    types_changed: Limit = _limit(0.0, None)

    def check(self, name: str, layer: str, share: float, found: str, cure: str) -> Check:
        """Judge a share by the limit of that name."""
        limit: Limit = getattr(self, name)
        way_out = f"{cure} If the source is so now, set {name} in the lake's {LIMITS_FILE}."
        status = limit.judge(share)
        return Check(
            layer,
            f"{name.replace('_', ' ')}: {limit}",
            status,
            found,
            "" if status is Status.PASS else way_out,
        )


def read_limits(lake: Lake) -> Limits:
    """The lake's limits; UsageError for a file that does not say them rightly."""
    if not lake.exists(LIMITS_FILE):
        return Limits()
    try:
        given = tomllib.loads(lake.read(LIMITS_FILE).decode())
    except ValueError as error:
        raise UsageError(f"The lake's {LIMITS_FILE} is not TOML: {error}.") from error
    known = {each.name for each in fields(Limits)}
    if unknown := sorted(given.keys() - known):
        raise UsageError(
            f"The lake's {LIMITS_FILE} has no limit named {unknown[0]!r}: "
            f"there are {', '.join(sorted(known))}."
        )
    return Limits(**{name: _read(name, value) for name, value in given.items()})


def _read(name: str, value: Any) -> Limit:
    if isinstance(value, dict) and value.keys() <= {"warn", "fail"}:
        bounds = {key: _number(bound) for key, bound in value.items()}
        if None not in bounds.values():
            return Limit(**bounds)
    raise UsageError(
        f"The lake's {LIMITS_FILE}: write {name} = {{ warn = 0.05, fail = 0.5 }}, "
        f"either or both, as numbers from 0; it says {value!r:.60}."
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None
