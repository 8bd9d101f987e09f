"""Keys that occur more than once among any number of rows, found in bounded memory.

A few are compared as they are. Of many, only a hash of each is kept, and DuckDB moves those to disk
when they outgrow its memory: where hashes all differ, so do the keys, and the few that do not are
compared in a second reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.database import database

__all__ = ["Keys"]

# Rows that are compared as they are, and rows for one statement, whose own cost is that of as many.
FEW = 100_000
# A table whose every key is there twice needs no complete list to be found wrong.
_SUSPECTS = 1000


class Keys:
    """The keys of a table's rows, added part by part; a context manager."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = list(columns)
        self._key = ", ".join(f'"{name}"' for name in self._columns)
        self._waiting: list[Any] = []
        self._rows = 0
        self._hashes: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Keys:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, part: Any) -> None:
        """Take in the rows of an Arrow table that has the key's columns."""
        # Anew, because tables whose columns are declared nullable or not do not concatenate.
        columns = [part[name] for name in self._columns]
        self._waiting.append(pa.table(columns, names=self._columns))
        self._rows += part.num_rows
        if self._rows >= FEW:
            self._hash()

    def repeated(self, again: Callable[[], Iterable[Any]]) -> list[str]:
        """Some of the keys that occur more than once, sorted; `again` gives the same parts."""
        if self._hashes is None:
            return _repeated(self._waiting, self._columns) if self._waiting else []
        self._hash()
        self._hashes.execute(
            "CREATE TEMP TABLE suspects AS"
            f" SELECT hash FROM keys GROUP BY hash HAVING count(*) > 1 LIMIT {_SUSPECTS}"
        )
        if self._hashes.execute("SELECT count(*) FROM suspects").fetchall() == [(0,)]:
            return []
        found: Counter[tuple[Any, ...]] = Counter()
        for part in again():
            query = f"SELECT {self._key} FROM part WHERE hash({self._key}) IN (FROM suspects)"
            found.update(self._query(query, part))
        return sorted(_shown(key) for key, count in found.items() if count > 1)

    def _hash(self) -> None:
        if self._hashes is None:
            self._hashes = self._stack.enter_context(database())
            self._hashes.execute("CREATE TEMP TABLE keys (hash UBIGINT)")
        if self._waiting:
            part = pa.concat_tables(self._waiting)
            self._query(f"INSERT INTO keys SELECT hash({self._key}) FROM part", part)
        self._waiting, self._rows = [], 0

    def _query(self, query: str, part: Any) -> list[tuple[Any, ...]]:
        self._hashes.register("part", part)
        try:
            rows: list[tuple[Any, ...]] = self._hashes.execute(query).fetchall()
        finally:
            self._hashes.unregister("part")
        return rows


def _repeated(parts: list[Any], columns: list[str]) -> list[str]:
    counted = pa.concat_tables(parts).group_by(columns).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1)).select(columns)
    return sorted(_shown(row.values()) for row in twice.slice(0, _SUSPECTS).to_pylist())


def _shown(key: Iterable[Any]) -> str:
    return ", ".join("unknown" if part is None else str(part) for part in key)
