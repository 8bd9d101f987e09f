"""What silver holds, counted in one reading: for its contract, for drift and for the page."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.compute as pc

from pipeline.lake import Lake
from pipeline.quality.contracts import SILVER
from pipeline.quality.facts import ColumnFacts, Facts, measure
from pipeline.quality.keys import Keys
from pipeline.silver import NULL_PARTITION

__all__ = ["CELLS_PER_DEGREE", "Place", "Profile", "profile"]

CELLS_PER_DEGREE = 2
# More dots than a screen has room for; the fullest cells are kept.
MOST_CELLS = 20_000
_WIDTH, _HEIGHT = 360 * CELLS_PER_DEGREE + 1, 180 * CELLS_PER_DEGREE + 1
# Files read at once: memory is that of so many files.
_READERS = 4

Place = tuple[str | None, str | None]


@dataclass(slots=True)
class Profile:
    """Counts of one run's silver.

    `counts` is by country, state and brewery type; `cells` are [x, y, breweries] of half degrees
    east of 180° W and south of 90° N; `repeated` are ids that occur more than once.
    """

    facts: Facts = field(default_factory=Facts)
    files: int = 0
    bytes: int = 0
    counts: Counter[tuple[str | None, str | None, str | None]] = field(default_factory=Counter)
    cells: list[tuple[int, int, int]] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def partitions(self) -> Counter[Place]:
        rows: Counter[Place] = Counter()
        for (country, state, _), count in self.counts.items():
            rows[country, state] += count
        return rows

    def record(self) -> dict[str, Any]:
        """JSON-able; `from_record` reads it back."""
        return {
            "rows": self.facts.rows,
            "files": self.files,
            "bytes": self.bytes,
            "columns": {
                name: {"types": column.types, "nulls": column.nulls}
                for name, column in self.facts.columns.items()
            },
            "counts": [[*key, count] for key, count in self.counts.items()],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Profile:
        """The profile in a record, without its cells; KeyError, TypeError or ValueError if none."""
        columns = {
            name: ColumnFacts(list(column["types"]), int(column["nulls"]))
            for name, column in record["columns"].items()
        }
        counts = Counter(
            {(country, state, kind): n for country, state, kind, n in record["counts"]}
        )
        facts = Facts(int(record["rows"]), columns)
        return cls(facts, int(record["files"]), int(record["bytes"]), counts)


@dataclass(slots=True)
class _Part:
    place: Place
    size: int
    facts: Facts
    table: Any


def profile(lake: Lake, paths: list[str]) -> Profile:
    """Read silver's files, each once; LakeError for one that is missing or damaged."""
    found = Profile()
    cells = np.zeros(_WIDTH * _HEIGHT, np.int64)
    with Keys(SILVER.unique) as keys:

        for part in _ahead(lake, paths):
            found.files += 1
            found.bytes += part.size
            found.facts.add(part.facts)
            _count(found.counts, part)
            _locate(cells, part.table)
            if _is_keyed(part.facts):
                keys.add(part.table)
        found.repeated = keys.repeated(
            lambda: (part.table for part in _ahead(lake, paths) if _is_keyed(part.facts))
        )
    found.cells = _fullest(cells)
    return found


def _ahead(lake: Lake, paths: list[str]) -> Iterator[_Part]:
    """The files in their order, a few read ahead by threads."""
    with ThreadPoolExecutor(_READERS) as readers:
        waiting: deque[Future[_Part]] = deque()
        for path in paths:
            waiting.append(readers.submit(_read, lake, path))
            if len(waiting) > _READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(lake: Lake, path: str) -> _Part:
    data = lake.read(path)
    facts, table = measure(path, data, SILVER, also=["brewery_type"])
    place = _place(path)
    for name, value in zip(("country", "state"), place, strict=True):
        facts.columns[name] = ColumnFacts(["string"], facts.rows if value is None else 0)
    return _Part(place, len(data), facts, table)


def _place(path: str) -> Place:
    """Country and state, which the folders name."""
    folders = dict(folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder)
    country, state = (
        None if (text := folders.get(key, NULL_PARTITION)) == NULL_PARTITION else unquote(text)
        for key in ("country", "state")
    )
    return country, state


def _is_keyed(facts: Facts) -> bool:
    """Whether the key's columns are there as declared: only such keys compare with each other."""
    return all(
        name in facts.columns and facts.columns[name].types == [SILVER.columns[name].type]
        for name in SILVER.unique
    )


def _count(counts: Counter[tuple[str | None, str | None, str | None]], part: _Part) -> None:
    if "brewery_type" not in part.table.column_names:
        counts[(*part.place, None)] += part.facts.rows
        return
    for found in pc.value_counts(part.table["brewery_type"]).to_pylist():
        counts[(*part.place, found["values"])] += found["counts"]


def _locate(cells: Any, table: Any) -> None:
    """Add a part's coordinates to the cells that they lie in."""
    if not {"longitude", "latitude"} <= set(table.column_names):
        return
    x, y = (np.asarray(table[name].to_numpy(), np.float64) for name in ("longitude", "latitude"))
    # False for NaN, which a null has become.
    there = (np.abs(x) <= 180) & (np.abs(y) <= 90)
    column = ((x[there] + 180) * CELLS_PER_DEGREE).astype(np.int64)
    row = ((90 - y[there]) * CELLS_PER_DEGREE).astype(np.int64)
    places, counts = np.unique(row * _WIDTH + column, return_counts=True)
    cells[places] += counts


def _fullest(cells: Any) -> list[tuple[int, int, int]]:
    filled = np.flatnonzero(cells)
    fullest = filled[np.argsort(-cells[filled], kind="stable")][:MOST_CELLS]
    return [
        (int(place % _WIDTH), int(place // _WIDTH), int(cells[place])) for place in sorted(fullest)
    ]
