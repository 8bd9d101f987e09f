"""Bronze for tests that need no source: pages land as an extraction would land them."""

from __future__ import annotations

from pipeline import bronze
from pipeline.lake import Lake
from pipeline.plan import PageRange, Plan, write_plan
from pipeline.source import Page

__all__ = ["land", "plan_of"]


def plan_of(run_id: str, *pages: Page, total: int | None = None) -> Plan:
    """A plan of one range for these pages."""
    rows = sum(len(page.lines) for page in pages)
    return Plan(
        run_id=run_id,
        source="http://x",
        total=rows if total is None else total,
        counts="",
        ranges=[PageRange(first=1, last=len(pages))],
        rate=0,
        jobs=1,
    )


def land(lake: Lake, run_id: str, *pages: Page) -> None:
    """Land these pages as a run's whole bronze, with its manifest."""
    plan = plan_of(run_id, *pages)
    write_plan(lake, plan)
    landed = [bronze.land_page(lake, plan, page) for page in pages]
    bronze.write_receipt(lake, plan, plan.ranges[0], landed)
    bronze.write_manifest(lake, plan)
