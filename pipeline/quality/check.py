"""One checked promise: what was promised, what was found, and what to do when they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Status", "worst"]


class Status(StrEnum):
    """How a check ended; `skip` says that there was nothing to check it against."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """A promise of one layer and how it was kept; `cure` is the reader's next step."""

    layer: str
    promise: str
    status: Status
    found: str
    cure: str = ""

    @classmethod
    def of(
        cls,
        layer: str,
        promise: str,
        problems: Iterable[str],
        *,
        good: str,
        cure: str,
        otherwise: Status = Status.FAIL,
    ) -> Check:
        """A check that passes when there are no problems; the first few are told."""
        told = list(problems)
        if not told:
            return cls(layer, promise, Status.PASS, good)
        more = f" ({len(told) - 3} more)" if len(told) > 3 else ""
        return cls(layer, promise, otherwise, "; ".join(told[:3]) + more, cure)

    @property
    def sentence(self) -> str:
        return f"{self.layer}: {self.found}"


def worst(checks: Iterable[Check]) -> Status:
    """The status of all checks together: a failure, else a warning, else a pass."""
    statuses = {check.status for check in checks}
    return next((s for s in (Status.FAIL, Status.WARN) if s in statuses), Status.PASS)
