"""Bronze: the API's pages as they came, zstd NDJSON, one folder a run, with a manifest."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from typing import Any, TypedDict

import pyarrow as pa

from pipeline.errors import LakeError
from pipeline.lake import Lake, utc_now
from pipeline.source import MAX_PER_PAGE, Page

__all__ = [
    "Landed",
    "PageRange",
    "land_page",
    "page_ranges",
    "read_manifest",
    "read_page",
    "read_pages",
    "read_plan",
    "read_text",
    "write_manifest",
    "write_plan",
    "write_receipt",
]

_PIECE = 1 << 20


class PageRange(TypedDict):
    """Pages `first` to `last`, both included, counted from 1."""

    first: int
    last: int


class Landed(TypedDict):
    """One page in the lake: `path` from the run's bronze folder, `sha256` of its bytes there."""

    page: int
    path: str
    rows: int
    sha256: str


def page_ranges(
    total: int, *, tasks: int, per_page: int = MAX_PER_PAGE
) -> list[PageRange]:
    """At most `tasks` ranges of nearly equal length that cover all pages, at least page 1."""
    pages = max(1, -(-total // per_page))
    count = min(tasks, pages)
    bounds = [1 + pages * index // count for index in range(count + 1)]
    return [
        PageRange(first=a, last=b - 1) for a, b in zip(bounds, bounds[1:], strict=False)
    ]


def write_plan(
    lake: Lake, run_id: str, *, source: str, total: int, ranges: list[PageRange]
) -> None:
    """Keep what this run set out to fetch: extraction and manifest read it from the lake."""
    plan = {
        "run_id": run_id,
        "source": source,
        "started_at": utc_now(),
        "total": total,
        "per_page": MAX_PER_PAGE,
        "ranges": ranges,
    }
    lake.write_json(_path(lake, run_id, "plan.json"), plan)


def read_plan(lake: Lake, run_id: str) -> dict[str, Any]:
    return lake.read_json(_path(lake, run_id, "plan.json"))


def land_page(lake: Lake, run_id: str, page: Page) -> Landed:
    """Write one page and say what was written."""
    data = _compress("".join(f"{line}\n" for line in page.lines).encode())
    name = f"page-{page.number:06d}.ndjson.zst"
    lake.write(_path(lake, run_id, name), data)
    return Landed(
        page=page.number,
        path=name,
        rows=len(page.lines),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def write_receipt(
    lake: Lake, run_id: str, pages: PageRange, landed: list[Landed]
) -> None:
    """Keep what one extraction landed, so that orchestrators need not carry it."""
    lake.write_json(_receipt(lake, run_id, pages), {"pages": landed})


def write_manifest(lake: Lake, run_id: str) -> dict[str, Any]:
    """Join the plan and its receipts into the run's manifest."""
    plan = read_plan(lake, run_id)
    receipts = [
        lake.read_json(_receipt(lake, run_id, pages)) for pages in plan["ranges"]
    ]
    landed = [page for receipt in receipts for page in receipt["pages"]]
    manifest = {
        "run_id": run_id,
        "source": plan["source"],
        "started_at": plan["started_at"],
        "finished_at": utc_now(),
        "source_total": plan["total"],
        "page_count": len(landed),
        "row_count": sum(page["rows"] for page in landed),
        "pages": landed,
    }
    lake.write_json(_path(lake, run_id, "manifest.json"), manifest)
    return manifest


def read_manifest(lake: Lake, run_id: str) -> dict[str, Any]:
    """The run's manifest; LakeError when it is missing or lacks what a manifest holds."""
    path = _path(lake, run_id, "manifest.json")
    manifest = lake.read_json(path)
    lacking = {"pages", "page_count", "row_count", "source_total"} - set(manifest)
    if lacking:
        raise LakeError(f"{path} lacks {', '.join(sorted(lacking))}")
    return manifest


def read_text(lake: Lake, run_id: str, landed: Landed) -> bytes:
    """One page's lines as bytes; LakeError when they are not those that were landed."""
    path = _path(lake, run_id, landed["path"])
    data = lake.read(path)
    if hashlib.sha256(data).hexdigest() != landed["sha256"]:
        raise LakeError(f"{path} does not match its checksum")
    text = _decompress(data)
    rows = text.count(b"\n")
    if rows != landed["rows"] or not (text.endswith(b"\n") or not text):
        raise LakeError(f"{path} holds {rows} rows, its manifest says {landed['rows']}")
    return text


def read_page(lake: Lake, run_id: str, landed: Landed) -> list[str]:
    """The lines of one page; LakeError when its bytes are not those that were landed."""
    return read_text(lake, run_id, landed).decode().split("\n")[:-1]


def read_pages(lake: Lake, run_id: str) -> Iterator[tuple[int, list[str]]]:
    """Page numbers and lines, in the order in which the manifest lists them."""
    for landed in read_manifest(lake, run_id)["pages"]:
        yield landed["page"], read_page(lake, run_id, landed)


def _path(lake: Lake, run_id: str, name: str) -> str:
    return f"{lake.folder('bronze', run_id)}/{name}"


def _receipt(lake: Lake, run_id: str, pages: PageRange) -> str:
    return _path(lake, run_id, f"receipt-{pages['first']:06d}-{pages['last']:06d}.json")


def _compress(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


def _decompress(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        # By pieces: a buffer that must grow to an unknown size is copied again and again.
        return b"".join(iter(functools.partial(stream.read, _PIECE), b""))
