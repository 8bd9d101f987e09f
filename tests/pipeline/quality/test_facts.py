"""Facts of Parquet files, and how a contract judges them."""

from __future__ import annotations

import io
import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LakeError
from pipeline.quality.check import Status
from pipeline.quality.contracts import Column, Contract
from pipeline.quality.facts import Facts, contract_checks, measure

CONTRACT = Contract(
    columns={
        "id": Column(nullable=False),
        "share": Column(type="double", low=0.0, high=1.0),
        "count": Column(type="int64", low=1),
    },
    unique=("id",),
)
GOOD = pa.table({"id": ["a", "b"], "share": [0.0, None], "count": [1, 2]})


def encoded(table: Any, *, statistics: bool = True, row_group_size: int = 1) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, write_statistics=statistics, row_group_size=row_group_size)
    return sink.getvalue()


def failed(*tables: Any, statistics: bool = True) -> list[str]:
    """What the contract finds wrong with a table of several files."""
    facts = Facts()
    for table in tables:
        facts.add(measure("f", encoded(table, statistics=statistics), CONTRACT)[0])
    checks = contract_checks("silver", CONTRACT, facts, "mend it")
    return [check.found for check in checks if check.status is Status.FAIL]


def replaced(name: str, values: list[Any]) -> Any:
    return GOOD.set_column(GOOD.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize(
    "table, says",
    [
        pytest.param(GOOD, [], id="good"),
        pytest.param(GOOD.slice(0, 0), [], id="empty"),
        pytest.param(replaced("id", ["a", None]), ["id is null in 1 rows"], id="null"),
        pytest.param(
            replaced("share", [math.nan, 1.1]),
            ["2 values of share are not within 0 to 1"],
            id="nan-and-outside",
        ),
        pytest.param(
            replaced("share", [-math.inf, 1.0]),
            ["1 values of share are not within 0 to 1"],
            id="infinite",
        ),
        pytest.param(replaced("count", [0, 1]), ["1 values of count are not at least 1"], id="low"),
        pytest.param(
            replaced("share", ["0.5", "x"]), ["share is string, declared double"], id="type"
        ),
        pytest.param(
            GOOD.drop_columns(["count"]), ["count is absent, declared int64"], id="absent"
        ),
        pytest.param(GOOD.append_column("new", pa.array([1, 2])), [], id="more-than-declared"),
    ],
)
def test_a_contract_is_kept_or_said_to_be_broken(
    table: Any, says: list[str], statistics: bool
) -> None:
    assert failed(table, statistics=statistics) == says


def test_files_that_differ_are_found() -> None:
    assert failed(GOOD, GOOD.drop_columns(["share"]), GOOD) == [
        "share is absent and double, declared double"
    ]
    assert failed(GOOD, replaced("id", [1, 2])) == ["id is int64 and string, declared string"]


def test_faults_of_all_files_add_up() -> None:
    assert failed(*3 * [replaced("id", [None, "x"])]) == ["id is null in 3 rows"]


@pytest.mark.parametrize("data", [b"", b"PAR1", encoded(GOOD)[:-9], b"<html>" * 99])
def test_what_is_not_parquet_is_named(data: bytes) -> None:
    with pytest.raises(LakeError, match="silver/f is not whole Parquet"):
        measure("silver/f", data, CONTRACT)
