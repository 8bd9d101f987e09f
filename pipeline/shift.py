"""What shows that a source changed between two of its pages.

A change moves every row behind it: after a brewery is added, the last row of a page comes again on
the next; after one is taken away, a row comes on none. So the source's counts are asked for before
and after a reading, as a sequence lock does, and pages whose ids do not ascend from one to the next
are compared with what the source gives for them now.
"""

from __future__ import annotations

from itertools import pairwise

from anyio.to_thread import run_sync

from pipeline import bronze
from pipeline.bronze import Landed
from pipeline.concurrency import each
from pipeline.lake import Lake
from pipeline.plan import Plan
from pipeline.source import Meta, Source

__all__ = ["find_shift"]


async def find_shift(lake: Lake, plan: Plan, meta: Meta, source: Source) -> str | None:
    """What shows that the source shifted while it was read by that plan; None: nothing does."""
    if (meta.total, meta.counts) != (plan.total, plan.counts):
        return f"changed while it was read, from {plan.total} breweries to {meta.total}"
    landed = bronze.read_receipts(lake, plan)
    rows = sum(page["rows"] for page in landed)
    if rows != plan.total:
        return f"counts {plan.total} breweries but gave {rows}"
    if landed and landed[-1]["rows"] == plan.per_page:
        number = landed[-1]["page"] + 1
        if (await source.page(number, per_page=plan.per_page)).lines:
            return f"counts {plan.total} breweries but goes on with page {number}"
    return await _moved(lake, plan, _out_of_order(landed), source)


def _out_of_order(landed: list[Landed]) -> list[Landed]:
    """Pages in which, or from or to which, ids do not ascend as they do in the order asked for."""
    suspects = {page["page"]: page for page in landed if not page["ascending"]}
    for page, following in pairwise(landed):
        last, first = page["last_id"], following["first_id"]
        if last is not None and first is not None and last >= first:
            suspects |= {page["page"]: page, following["page"]: following}
    return list(suspects.values())


async def _moved(lake: Lake, plan: Plan, suspects: list[Landed], source: Source) -> str | None:
    """Ids may come twice, or in an order of the source's own: then the same pages come again."""
    moved = []

    async def compare(landed: Landed) -> None:
        page = await source.page(landed["page"], per_page=plan.per_page)
        if list(page.lines) != await run_sync(bronze.read_page, lake, plan.run_id, landed):
            moved.append(landed["page"])

    await each(suspects, compare, jobs=plan.jobs)
    return f"gave page {min(moved)} otherwise when it was read again" if moved else None
