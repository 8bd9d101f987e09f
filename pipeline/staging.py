"""What the tasks of one run's silver leave for each other in the lake, until silver is sealed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pyarrow as pa

from pipeline.bronze import Landed
from pipeline.lake import Lake

__all__ = ["Range", "SilverPlan", "Staging", "named", "page_ranges"]

_READERS = 2


class Range(TypedDict):
    """Pages `first` to `last` of bronze, both included."""

    first: int
    last: int


class SilverPlan(TypedDict):
    """The ranges to clean, and the number of buckets that they are staged in."""

    ranges: list[Range]
    buckets: int


def page_ranges(landed: list[Landed], tasks: int) -> list[Range]:
    """At most so many ranges of nearly equal numbers of pages, and one where there are no pages."""
    numbers = sorted(page["page"] for page in landed) or [1]
    count = min(tasks, len(numbers))
    bounds = [len(numbers) * index // count for index in range(count + 1)]
    return [
        Range(first=numbers[start], last=numbers[end - 1])
        for start, end in zip(bounds, bounds[1:], strict=False)
    ]


class Staging:
    """The staged files of one run: the plan, accepted rows by bucket and range, and counts."""

    def __init__(self, lake: Lake, run_id: str) -> None:
        self._lake = lake
        self._folder = f"{lake.folder('silver', run_id)}/staged"

    def write_plan(self, plan: SilverPlan) -> None:
        self._lake.write_json(f"{self._folder}/plan.json", plan)

    def read_plan(self) -> SilverPlan:
        """LakeError when there is none: silver was not begun, or it is sealed."""
        plan = self._lake.read_json(f"{self._folder}/plan.json")
        return SilverPlan(ranges=plan["ranges"], buckets=plan["buckets"])

    def write_rows(self, table: Any, pages: Range, bucket: int) -> None:
        """Keep a range's accepted rows of one bucket."""
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        self._lake.write(self._rows(pages, bucket), bytes(sink.getvalue().to_pybytes()))

    def read_rows(self, bucket: int) -> Any:
        """The accepted rows of one bucket of all ranges; LakeError when one is not clean yet."""
        paths = [self._rows(pages, bucket) for pages in self.read_plan()["ranges"]]
        with ThreadPoolExecutor(_READERS) as readers:
            return pa.concat_tables(list(readers.map(self._read_rows, paths)))

    def _read_rows(self, path: str) -> Any:
        return pa.ipc.open_stream(self._lake.read(path)).read_all()

    def write_cleaned(self, pages: Range, counts: dict[str, int]) -> None:
        self._lake.write_json(self._cleaned(pages), counts)

    def write_merged(self, bucket: int, counts: dict[str, int]) -> None:
        self._lake.write_json(self._merged(bucket), counts)

    def counts(self) -> list[dict[str, Any]]:
        """What each range and bucket counted; LakeError when one of them is not done."""
        plan = self.read_plan()
        paths = [self._cleaned(pages) for pages in plan["ranges"]]
        paths += [self._merged(bucket) for bucket in range(plan["buckets"])]
        return [self._lake.read_json(path) for path in paths]

    def clear(self) -> None:
        self._lake.clear(self._folder)

    def _rows(self, pages: Range, bucket: int) -> str:
        return f"{self._folder}/bucket-{bucket:05d}/{named(pages)}.arrow"

    def _cleaned(self, pages: Range) -> str:
        return f"{self._folder}/{named(pages)}.json"

    def _merged(self, bucket: int) -> str:
        return f"{self._folder}/bucket-{bucket:05d}.json"


def named(pages: Range) -> str:
    """A range as part of a file's name."""
    return f"pages-{pages['first']:06d}-{pages['last']:06d}"
