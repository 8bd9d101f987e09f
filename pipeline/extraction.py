"""The source into bronze: a few pages at a time, none twice, and again if it shifted meanwhile."""

from __future__ import annotations

import dataclasses
import logging
from itertools import takewhile
from typing import Any

import anyio
from anyio.to_thread import run_sync

from pipeline import bronze
from pipeline.bronze import Landed
from pipeline.concurrency import each
from pipeline.errors import LakeError, UpstreamError, UsageError
from pipeline.lake import Lake
from pipeline.plan import PageRange, Plan, page_ranges, read_plan, share, write_plan
from pipeline.rate import shared_limit
from pipeline.shift import find_shift
from pipeline.source import Meta, Source, root_url

__all__ = ["READINGS", "extract", "plan", "seal"]

log = logging.getLogger(__name__)

# Of the whole source, until it is found to have stood still.
READINGS = 3


def plan(lake: Lake, run_id: str, api: str, *, tasks: int, rate: int, jobs: int) -> Plan:
    """The plan of a run, for at most `tasks` extractions; one that was begun before goes on."""
    if jobs < 1 or tasks < 1:
        raise UsageError(f"{jobs} jobs and {tasks} tasks cannot read a source: give 1 or more.")
    limit = shared_limit(root_url(api), rate, part=0)
    begun = _begun(lake, run_id)
    if begun and begun.source != root_url(api):
        raise UsageError(
            f"Run {run_id} was begun from {begun.source}: go on from there, or give another run id."
        )

    async def ask() -> Meta:
        async with Source(api, limit=limit) as source:
            return await source.meta()

    if begun:
        made = dataclasses.replace(begun, rate=rate, jobs=jobs)
    else:
        meta = anyio.run(ask)
        made = Plan(
            run_id=run_id,
            source=root_url(api),
            total=meta.total,
            counts=meta.counts,
            ranges=page_ranges(meta.total, tasks=tasks),
            rate=rate,
            jobs=jobs,
        )
    write_plan(lake, made)
    return made


def extract(lake: Lake, run_id: str, pages: PageRange) -> int:
    """Land those pages of the planned source, at the range's share of the rate; gives the rows."""
    planned = read_plan(lake, run_id)
    ranges = planned.ranges
    # Each range may be read by a process of its own; a run's only one has the whole rate.
    part = pages["first"] if len(ranges) > 1 else 0
    limit = shared_limit(planned.source, share(planned.rate, ranges), part=part)

    async def read() -> list[Landed]:
        async with Source(planned.source, limit=limit) as source:
            return await _read_range(lake, planned, pages, source, jobs=share(planned.jobs, ranges))

    return sum(page["rows"] for page in anyio.run(read))


def seal(lake: Lake, run_id: str) -> dict[str, Any]:
    """The run's manifest, written once: when the source is found to have stood still.

    All pages are read again until then; UpstreamError when it never does.
    """
    try:
        return bronze.read_manifest(lake, run_id)
    except LakeError:
        planned = read_plan(lake, run_id)

    async def settle() -> Plan:
        limit = shared_limit(planned.source, planned.rate, part=0)
        async with Source(planned.source, limit=limit) as source:
            return await _settle(lake, planned, source)

    return bronze.write_manifest(lake, anyio.run(settle))


async def _read_range(
    lake: Lake, plan: Plan, pages: PageRange, source: Source, *, jobs: int
) -> list[Landed]:
    """Land those pages, but for those the plan's reading has landed, and leave a receipt."""
    landed = _received(lake, plan, pages)
    if landed is None:
        landed = await _read(lake, plan, pages, source, jobs=jobs)
        bronze.write_receipt(lake, plan, pages, landed)
    return landed


async def _settle(lake: Lake, plan: Plan, source: Source) -> Plan:
    if plan.reading > 1:
        # It may have been killed while it read again.
        await _read_range(lake, plan, plan.ranges[0], source, jobs=plan.jobs)
    for reading in range(READINGS):
        meta = await source.meta()
        reason = await find_shift(lake, plan, meta, source)
        if reason is None:
            return plan
        if reading + 1 < READINGS:
            log.info("bronze: the source %s: reading it again", reason)
            plan = await _read_again(lake, plan, meta, source)
    raise UpstreamError(source.url, f"it {reason}, {READINGS} times in a row")


async def _read_again(lake: Lake, before: Plan, meta: Meta, source: Source) -> Plan:
    plan = dataclasses.replace(
        before,
        total=meta.total,
        counts=meta.counts,
        ranges=page_ranges(meta.total, tasks=1),
        reading=before.reading + 1,
    )
    write_plan(lake, plan)
    await _read_range(lake, plan, plan.ranges[0], source, jobs=plan.jobs)
    return plan


async def _read(
    lake: Lake, plan: Plan, pages: PageRange, source: Source, *, jobs: int
) -> list[Landed]:
    before = bronze.landed_paths(lake, plan)
    landed: dict[int, Landed] = {}
    end = pages["last"] + 1

    async def land(number: int) -> None:
        nonlocal end
        page = await _landed(lake, plan, before.get(number)) or await _fetch(
            lake, plan, number, source
        )
        if page is None:
            end = min(end, number)
            return
        landed[number] = page
        if len(landed) % 100 == 0:
            log.info("extract: %s of %s pages", len(landed), pages["last"] + 1 - pages["first"])

    numbers = range(pages["first"], pages["last"] + 1)
    await each(takewhile(lambda number: number < end, numbers), land, jobs=jobs)
    return [landed[number] for number in sorted(landed) if number < end]


async def _landed(lake: Lake, plan: Plan, path: str | None) -> Landed | None:
    return await run_sync(bronze.landed_page, lake, plan.run_id, path) if path else None


async def _fetch(lake: Lake, plan: Plan, number: int, source: Source) -> Landed | None:
    """Land one page of the source; None where the source has ended before."""
    page = await source.page(number, per_page=plan.per_page)
    # So a total that lies by a billion is not asked for page by page. Page 1 lands always.
    if not page.lines and number > 1:
        return None
    return await run_sync(bronze.land_page, lake, plan, page)


def _begun(lake: Lake, run_id: str) -> Plan | None:
    try:
        return read_plan(lake, run_id)
    except LakeError:
        return None


def _received(lake: Lake, plan: Plan, pages: PageRange) -> list[Landed] | None:
    """What an earlier try landed, if it landed all and the lake still holds it byte for byte."""
    try:
        landed = bronze.read_receipt(lake, plan, pages)
        for page in landed:
            bronze.read_page(lake, plan.run_id, page)
    except LakeError:
        return None
    return landed
