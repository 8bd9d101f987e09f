"""Bronze: the API's pages as they came, zstd NDJSON, one folder a run, with a manifest."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypedDict

import pyarrow as pa

from pipeline.errors import LakeError
from pipeline.lake import Lake, utc_now
from pipeline.plan import PageRange, Plan, read_fields
from pipeline.source import Page

__all__ = [
    "Landed",
    "land_page",
    "landed_page",
    "landed_paths",
    "read_manifest",
    "read_page",
    "read_pages",
    "read_receipt",
    "read_receipts",
    "read_text",
    "write_manifest",
    "write_receipt",
]

MANIFEST = "manifest.json"
# Of the digest, in the name of a page: enough to tell a page cut short, or two readings of it.
DIGITS = 16
_PIECE = 1 << 20
_PAGE = re.compile(rf"page-([0-9]+)-([0-9a-f]{{{DIGITS}}})\.ndjson\.zst")


class Landed(TypedDict):
    """One page in the lake: `path` from the run's bronze folder, `sha256` of its bytes there.

    `ascending`: its ids come in the order asked for, what is no id left aside.
    """

    page: int
    path: str
    rows: int
    sha256: str
    first_id: str | None
    last_id: str | None
    ascending: bool


def land_page(lake: Lake, plan: Plan, page: Page) -> Landed:
    """Write one page and say what was written; where it has landed before, nothing is written.

    Its name holds its digest, so that no other content can take its place.
    """
    data = _compress("".join(f"{line}\n" for line in page.lines).encode())
    sha256 = hashlib.sha256(data).hexdigest()
    path = f"{_folder(plan)}/page-{page.number:06d}-{sha256[:DIGITS]}.ndjson.zst"
    before = landed_page(lake, plan.run_id, path)
    if before:
        return before
    lake.write(_path(lake, plan.run_id, path), data)
    return _landed(path, sha256, page.lines)


def landed_page(lake: Lake, run_id: str, path: str) -> Landed | None:
    """The page that landed at that path, if it is whole."""
    try:
        data = lake.read(_path(lake, run_id, path))
    except LakeError:
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    # The name was given by this module: it always matches.
    if sha256[:DIGITS] != path.rsplit("-", 1)[-1].partition(".")[0]:
        return None
    return _landed(path, sha256, _lines(data))


def landed_paths(lake: Lake, plan: Plan) -> dict[int, str]:
    """Where the plan's reading has landed which pages so far, whole or not."""
    folder = lake.folder("bronze", plan.run_id)
    paths = [path.removeprefix(f"{folder}/") for path in lake.files(f"{folder}/{_folder(plan)}")]
    return {int(found[1]): path for path in paths if (found := _PAGE.search(path))}


def write_receipt(lake: Lake, plan: Plan, pages: PageRange, landed: list[Landed]) -> None:
    """Keep what one extraction landed, so that orchestrators need not carry it."""
    lake.write_json(_receipt(lake, plan, pages), {"pages": landed})


def read_receipt(lake: Lake, plan: Plan, pages: PageRange) -> list[Landed]:
    """What one extraction landed; LakeError when it did not end."""
    landed: list[Landed] = read_fields(lake, _receipt(lake, plan, pages), ["pages"])["pages"]
    return landed


def read_receipts(lake: Lake, plan: Plan) -> list[Landed]:
    """All that landed by a plan, in the order of pages; LakeError when an extraction is missing."""
    return [page for pages in plan.ranges for page in read_receipt(lake, plan, pages)]


def write_manifest(lake: Lake, plan: Plan) -> dict[str, Any]:
    """Join a plan and its receipts into the run's manifest, which seals its bronze."""
    landed = read_receipts(lake, plan)
    manifest = {
        "run_id": plan.run_id,
        "source": plan.source,
        "started_at": plan.started_at,
        "finished_at": utc_now(),
        "readings": plan.reading,
        "source_total": plan.total,
        "page_count": len(landed),
        "row_count": sum(page["rows"] for page in landed),
        "pages": landed,
    }
    lake.write_json(_path(lake, plan.run_id, MANIFEST), manifest)
    return manifest


def read_manifest(lake: Lake, run_id: str) -> dict[str, Any]:
    """The run's manifest; LakeError when it is missing or lacks what a manifest holds."""
    fields = ("pages", "page_count", "row_count", "source_total")
    return read_fields(lake, _path(lake, run_id, MANIFEST), fields)


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


def _landed(path: str, sha256: str, lines: Sequence[str]) -> Landed:
    found = _PAGE.search(path)
    ids = [_id(line) for line in lines]
    known = [name for name in ids if name is not None]
    return Landed(
        page=int(found[1]) if found else 0,
        path=path,
        rows=len(lines),
        sha256=sha256,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        ascending=all(one <= other for one, other in pairwise(known)),
    )


def _id(line: str) -> str | None:
    # Python refuses to convert integers of more than 4,300 digits; floats of any length will do.
    record = json.loads(line, parse_int=float)
    value = record.get("id") if isinstance(record, dict) else None
    # What is longer, or no text that UTF-8 can hold, is no id and does not go into a receipt.
    return value if isinstance(value, str) and value.isascii() and len(value) < 200 else None


def _path(lake: Lake, run_id: str, name: str) -> str:
    return f"{lake.folder('bronze', run_id)}/{name}"


def _folder(plan: Plan) -> str:
    return f"reading-{plan.reading}"


def _receipt(lake: Lake, plan: Plan, pages: PageRange) -> str:
    name = f"receipt-{pages['first']:06d}-{pages['last']:06d}.json"
    return _path(lake, plan.run_id, f"{_folder(plan)}/{name}")


def _compress(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


def _lines(data: bytes) -> list[str]:
    return _decompress(data).decode().split("\n")[:-1]


def _decompress(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        # By pieces: a buffer that must grow to an unknown size is copied again and again.
        return b"".join(iter(functools.partial(stream.read, _PIECE), b""))
