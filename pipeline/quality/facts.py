"""What Parquet files hold, measured against a contract one file at a time and added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import LakeError
from pipeline.quality.check import Check
from pipeline.quality.contracts import Column, Contract

__all__ = ["ColumnFacts", "Facts", "contract_checks", "measure", "unique_check"]

ABSENT = "absent"


@dataclass(slots=True)
class ColumnFacts:
    """Of one column: its types (more than one where files differ), nulls, values out of range."""

    types: list[str]
    nulls: int = 0
    outside: int = 0

    def add(self, other: ColumnFacts) -> None:
        self.types = sorted({*self.types, *other.types})
        self.nulls += other.nulls
        self.outside += other.outside


@dataclass(slots=True)
class Facts:
    """Of one table or some of its files."""

    rows: int = 0
    columns: dict[str, ColumnFacts] = field(default_factory=dict)

    def add(self, other: Facts) -> None:
        """Take in another file's facts; a column that one of them lacks is `absent` there."""
        if not self.columns:
            self.columns = {
                name: ColumnFacts(column.types) for name, column in other.columns.items()
            }
        for name in {**self.columns, **other.columns}:
            mine = self.columns.setdefault(name, ColumnFacts([ABSENT]))
            mine.add(other.columns.get(name, ColumnFacts([ABSENT])))
        self.rows += other.rows


def measure(
    path: str, data: bytes, contract: Contract, also: Iterable[str] = ()
) -> tuple[Facts, Any]:
    """A file's facts, and its table of the columns that had to be read.

    Nulls are taken from the file's own statistics; read are the columns with a range, the unique
    ones and those asked for. LakeError for what is not whole Parquet.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        wanted = {*contract.unique, *also} | {n for n, c in contract.columns.items() if c.bounded}
        table = file.read([name for name in file.schema_arrow.names if name in wanted])
        nulls = _nulls(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LakeError(f"{path} is not whole Parquet: {_line(error)}") from error
    facts = Facts(file.metadata.num_rows)
    for column in file.schema_arrow:
        declared = contract.columns.get(column.name, Column())
        facts.columns[column.name] = ColumnFacts(
            [str(column.type)],
            nulls[column.name],
            _outside(table[column.name], declared) if declared.bounded else 0,
        )
    return facts, table


def contract_checks(layer: str, contract: Contract, facts: Facts, cure: str) -> list[Check]:
    """Whether the facts keep the contract: types, nulls and ranges."""
    found, declared = facts.columns, contract.columns
    absent = ColumnFacts([ABSENT])
    types = [
        f"{name} is {' and '.join(found.get(name, absent).types)}, declared {column.type}"
        for name, column in declared.items()
        if found.get(name, absent).types != [column.type]
    ]
    nulls = [
        f"{name} is null in {found[name].nulls:,} rows"
        for name, column in declared.items()
        if not column.nullable and name in found and found[name].nulls
    ]
    ranges = [
        f"{found[name].outside:,} values of {name} are not {_range(column)}"
        for name, column in declared.items()
        if name in found and found[name].outside
    ]
    required = [name for name, column in declared.items() if not column.nullable]
    bounded = [f"{name} {_range(column)}" for name, column in declared.items() if column.bounded]
    return [
        Check.of(
            layer,
            "columns have their declared types",
            types if facts.rows or found else [],
            good=f"{len(declared)} columns",
            cure=cure,
        ),
        Check.of(
            layer,
            "nothing is null that must not be",
            nulls,
            good=f"{', '.join(required)}: no nulls",
            cure=cure,
        ),
        Check.of(layer, "numbers are in their ranges", ranges, good=", ".join(bounded), cure=cure),
    ]


def unique_check(layer: str, contract: Contract, repeated: list[str], cure: str) -> Check:
    """Whether no key of the table was found more than once."""
    key = ", ".join(contract.unique)
    problems = [f"{key} occurs more than once: {value:.80}" for value in repeated]
    return Check.of(layer, f"{key} is unique", problems, good="no duplicates", cure=cure)


def _nulls(file: Any) -> dict[str, int]:
    """Nulls of each column, from the statistics where every row group has them."""
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    counts: dict[str, int] = {}
    for index, name in enumerate(file.schema_arrow.names):
        statistics = [group.column(index).statistics for group in groups]
        if all(each is not None and each.has_null_count for each in statistics):
            counts[name] = sum(each.null_count for each in statistics)
        else:
            counts[name] = file.read([name])[name].null_count
    return counts


def _outside(values: Any, column: Column) -> int:
    """How many values are not in range, NaN among them; null is no value."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return 0
    inside = values
    bounds = [(pc.greater_equal, column.low), (pc.less_equal, column.high)]
    tests = [compare(values, bound) for compare, bound in bounds if bound is not None]
    inside = tests[0] if len(tests) == 1 else pc.and_(*tests)
    return int(pc.sum(pc.invert(inside)).as_py() or 0)


def _range(column: Column) -> str:
    if column.high is None:
        return f"at least {column.low:g}"
    return f"within {column.low:g} to {column.high:g}"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
