"""The rejected rows: how many for which reason, and a list of them that people can open."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from pipeline.lake import Lake
from pipeline.quality.contracts import QUARANTINE
from pipeline.quality.facts import Facts, measure
from pipeline.quality.keys import Keys
from pipeline.records import FIELDS

__all__ = ["LISTED", "Rejected", "Row", "csv_of", "rejected"]

# Rows that the page lists, and rows that the CSV beside it does: as many as memory should hold.
LISTED = 500
MOST_LISTED = 1_000_000
_EXAMPLES = 3
# Rows whose record is read again; each costs as much as its parsing did.
_REREAD = 10_000
# Two fields are known under an older name too.
_OLDER_NAMES = {"state": "state_province", "address_1": "street"}
_COLUMNS = ("page", "row", "id", "reason")
Row = tuple[int, int, str | None, str]


@dataclass(slots=True)
class Rejected:
    """Counts of the quarantine; `listed` are the first rows, `for_null` wrongly rejected ones."""

    facts: Facts = field(default_factory=Facts)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    listed: list[Row] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    for_null: list[str] = field(default_factory=list)


def rejected(lake: Lake, paths: list[str]) -> Rejected:
    """Read the quarantine's files; LakeError for one that is missing or damaged."""
    found = Rejected()
    reread = _REREAD
    with Keys(QUARANTINE.unique) as keys:
        for facts, table in _parts(lake, paths):
            found.facts.add(facts)
            if not _is_whole(table):
                continue
            keys.add(table)
            _count(found, table)
            found.listed += _rows(table.slice(0, LISTED - len(found.listed)))
            some = table.slice(0, reread)
            reread -= some.num_rows
            found.for_null += [_name(row) for row in some.to_pylist() if _is_for_null(row)]
        found.repeated = keys.repeated(lambda: _tables(lake, paths))
    return found


def _count(found: Rejected, table: Any) -> None:
    """Count a table's reasons, and keep an example or a few of each."""
    for counted in pc.value_counts(table["reason"]).to_pylist():
        reason = str(counted["values"])
        found.reasons[reason] += counted["counts"]
        examples = found.examples.setdefault(reason, [])
        if lacking := _EXAMPLES - len(examples):
            some = table.filter(pc.equal(table["reason"], counted["values"])).slice(0, lacking)
            examples += [_name(row) for row in some.select(_COLUMNS).to_pylist()]


def csv_of(lake: Lake, paths: list[str]) -> Iterator[bytes]:
    """The rejected rows as CSV: where each was read, its id and the reason."""
    yield _csv([_COLUMNS])
    left = MOST_LISTED
    for table in _tables(lake, paths):
        for batch in table.slice(0, left).to_batches(max_chunksize=10_000):
            yield _csv(_rows(batch))
        left = max(0, left - table.num_rows)


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _parts(lake: Lake, paths: list[str]) -> Iterator[tuple[Facts, Any]]:
    for path in paths:
        yield measure(path, lake.read(path), QUARANTINE, also=QUARANTINE.columns)


def _tables(lake: Lake, paths: list[str]) -> Iterator[Any]:
    return (table for _, table in _parts(lake, paths) if _is_whole(table))


def _is_whole(table: Any) -> bool:
    """Whether the columns are as declared; that they are not is told by another check."""
    return all(
        name in table.column_names and str(table[name].type) == column.type
        for name, column in QUARANTINE.columns.items()
    )


def _rows(table: Any) -> list[Row]:
    return list(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))


def _name(row: dict[str, Any]) -> str:
    return str(row["id"] or f"row {row['row']} of page {row['page']}")


def _is_for_null(row: dict[str, Any]) -> bool:
    """Whether the reason blames a field that is null in the record; only the id must not be."""
    name = str(row["reason"]).split(":")[0]
    if name == "id" or name not in FIELDS:
        return False
    try:
        record = json.loads(row["record"])
    except (ValueError, RecursionError):
        return False
    names = (name, _OLDER_NAMES.get(name, name))
    return isinstance(record, dict) and all(record.get(each) is None for each in names)
