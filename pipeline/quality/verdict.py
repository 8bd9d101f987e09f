"""The verdict on one run: its counts, its checks and what it was compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.lake import utc_now
from pipeline.quality.check import Check, Status, worst
from pipeline.quality.drift import Drift
from pipeline.quality.profile import Profile
from pipeline.quality.quarantine import Rejected

__all__ = ["Verdict"]

# An orchestrator carries the summary from task to task; the whole is in the lake.
_TOLD = 20


@dataclass(slots=True)
class Verdict:
    """What a run holds and how it kept each promise; it fails when one check does."""

    run_id: str
    judged_at: str = field(default_factory=utc_now)
    bronze_pages: int = 0
    bronze_rows: int = 0
    silver_rows: int = 0
    quarantine_rows: int = 0
    duplicate_rows: int = 0
    gold_rows: int = 0
    breweries: int = 0
    compared_with: str | None = None
    checks: list[Check] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)
    rejected: Rejected = field(default_factory=Rejected)

    @property
    def status(self) -> Status:
        return worst(self.checks)

    @property
    def problems(self) -> list[str]:
        return self._sentences(Status.FAIL)

    @property
    def warnings(self) -> list[str]:
        return self._sentences(Status.WARN)

    @property
    def told(self) -> list[str]:
        """What a person has to know: the first problem with its cure, or the warnings."""
        failed = [check for check in self.checks if check.status is Status.FAIL]
        if failed:
            more = f" ({len(failed) - 1} more)" if len(failed) > 1 else ""
            cure = f" {failed[0].cure}" if failed[0].cure else ""
            what = f"Run {self.run_id}" if self.run_id else "The lake"
            return [f"{what} fails: {failed[0].sentence}{more}.{cure}"]
        return [f"Run {self.run_id} passes with a warning: {text}" for text in self.warnings]

    def _sentences(self, status: Status) -> list[str]:
        return [check.sentence for check in self.checks if check.status is status]

    def summary(self) -> dict[str, Any]:
        """What a caller decides by: small and JSON-able."""
        return {
            "run_id": self.run_id,
            "status": str(self.status),
            **{name: getattr(self, name) for name in _COUNTS},
            "compared_with": self.compared_with,
            "problems": self.problems[:_TOLD],
            "warnings": self.warnings[:_TOLD],
        }

    def record(self) -> dict[str, Any]:
        """The whole verdict, JSON-able; the next run's drift is told from its `silver`."""
        return {
            **self.summary(),
            "judged_at": self.judged_at,
            "checks": [
                {"layer": c.layer, "promise": c.promise, "status": c.status, "found": c.found}
                | ({"cure": c.cure} if c.cure else {})
                for c in self.checks
            ],
            "drift": [
                {"measure": d.measure, "before": d.before, "now": d.now, "change": d.change}
                | {"limit": d.limit, "status": d.status}
                for d in self.drifts
            ],
            "quarantine": {"reasons": dict(self.rejected.reasons.most_common())},
            "silver": self.profile.record(),
        }


_COUNTS = (
    "bronze_pages",
    "bronze_rows",
    "silver_rows",
    "quarantine_rows",
    "duplicate_rows",
    "gold_rows",
    "breweries",
)
