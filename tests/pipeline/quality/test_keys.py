"""Repeated keys are found, and no others, whether few are compared or many are hashed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quality import keys as module
from pipeline.quality.keys import Keys

Row = tuple[str | None, int]
ROWS = st.lists(st.tuples(st.none() | st.text(max_size=2), st.integers(0, 3)), max_size=40)


def table(rows: list[Row]) -> Any:
    names, numbers = zip(*rows, strict=True) if rows else ((), ())
    return pa.table({"name": pa.array(names, pa.string()), "n": pa.array(numbers, pa.int64())})


def repeated(rows: list[Row], *, size: int = 7) -> list[str]:
    """What is found when the rows come in parts of that size."""
    parts = [table(rows[start : start + size]) for start in range(0, len(rows), size)]
    with Keys(["name", "n"]) as keys:
        for part in parts:
            keys.add(part)
        return keys.repeated(lambda: parts)


def expected(rows: list[Row]) -> list[str]:
    twice = [key for key, count in Counter(rows).items() if count > 1]
    return sorted(f"{'unknown' if name is None else name}, {n}" for name, n in twice)


@settings(max_examples=settings().max_examples // 2)
@given(ROWS)
def test_a_few_keys_are_compared_as_they_are(rows: list[Row]) -> None:
    assert repeated(rows) == expected(rows)


@settings(deadline=None, max_examples=10)
@given(ROWS)
def test_many_keys_are_told_apart_by_their_hashes(rows: list[Row]) -> None:
    few, module.FEW = module.FEW, 10
    try:
        assert repeated(rows) == expected(rows)
    finally:
        module.FEW = few


def test_keys_of_one_hash_that_differ_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 1)
    with Keys(["name"]) as keys:
        keys.add(table([("a", 1), ("b", 1)]))
        # As if the two had one hash.
        keys._hashes.execute("UPDATE keys SET hash = (SELECT min(hash) FROM keys)")
        assert keys.repeated(lambda: [table([("a", 1), ("b", 1)])]) == []


def test_columns_that_may_be_null_and_columns_that_may_not_are_compared() -> None:
    strict = pa.schema([pa.field("name", pa.string(), nullable=False)])
    parts = [pa.table({"name": ["a"]}), pa.table({"name": ["a"]}, schema=strict)]
    with Keys(["name"]) as keys:
        for part in parts:
            keys.add(part)
        assert keys.repeated(lambda: parts) == ["a"]


def test_more_repeated_keys_than_anybody_reads_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 1)

    def parts() -> Iterator[Any]:
        for _ in range(2):
            yield table([(str(n), n) for n in range(3000)])

    with Keys(["name"]) as keys:
        for part in parts():
            keys.add(part)
        assert len(keys.repeated(parts)) == 1000
