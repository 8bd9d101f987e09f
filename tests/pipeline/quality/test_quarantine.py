"""The quarantine: every rejected row is listed, and none is there for a null alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import parquet
from pipeline.lake import Lake
from pipeline.quality import quarantine
from pipeline.quality.quarantine import csv_of, rejected

SCHEMA = pa.schema(
    [
        ("page", pa.int32()),
        ("row", pa.int32()),
        ("id", pa.string()),
        ("reason", pa.string()),
        ("record", pa.string()),
    ]
)
PATHS = ["quarantine-0.parquet", "quarantine-1.parquet"]


def row(number: int, reason: str, **record: object) -> dict[str, Any]:
    name = record.get("id")
    text = json.dumps(record)
    return {"page": 1, "row": number, "id": name, "reason": reason, "record": text}


def lake_with(folder: Path, *files: list[dict[str, Any]]) -> Lake:
    for path, rows in zip(PATHS, files, strict=False):
        (folder / path).write_bytes(parquet.encode(pa.Table.from_pylist(rows, schema=SCHEMA)))
    return Lake.at(str(folder))


def test_reasons_are_counted_and_exemplified_over_all_files(tmp_path: Path) -> None:
    files = (
        [row(n, "latitude: not a number", id=f"a{n}", latitude="x") for n in range(1, 6)],
        [row(9, "latitude: not a number", id="b", latitude="x"), row(10, "id: missing")],
    )
    found = rejected(lake_with(tmp_path, *files), PATHS)
    assert found.reasons == {"latitude: not a number": 6, "id: missing": 1}
    assert found.examples["latitude: not a number"] == ["a1", "a2", "a3"]
    assert found.examples["id: missing"] == ["row 10 of page 1"]
    assert found.facts.rows == len(found.listed) == 7


@pytest.mark.parametrize(
    "rejects, wrongly",
    [
        pytest.param(row(1, "city: not text", id="a", city=None), ["a"], id="null"),
        pytest.param(row(1, "city: not text", id="a"), ["a"], id="absent"),
        pytest.param(row(1, "city: not text", city=None), ["row 1 of page 1"], id="no-id"),
        pytest.param(row(1, "city: not text", id="a", city=[]), [], id="a-value"),
        pytest.param(row(1, "city: not text", id="a", city=""), [], id="blank-is-a-value"),
        pytest.param(row(1, "id: missing", id=None), [], id="the-id-must-not-be-null"),
        pytest.param(row(1, "state: too long", state_province="x"), [], id="older-name"),
        pytest.param(row(1, "not JSON", id="a"), [], id="about-the-whole-record"),
        pytest.param(row(1, "city: not text", id="a") | {"record": "[]"}, [], id="no-object"),
        pytest.param(row(1, "city: not text", id="a") | {"record": "{"}, [], id="no-json"),
    ],
)
def test_a_row_rejected_for_a_null_is_found(
    tmp_path: Path, rejects: dict[str, Any], wrongly: list[str]
) -> None:
    assert rejected(lake_with(tmp_path, [rejects]), PATHS[:1]).for_null == wrongly


def test_the_csv_lists_every_row_whatever_its_id(tmp_path: Path) -> None:
    names = ['"', "a,b", "line\nbreak", "=1+1", "é", None]
    files = [[row(n, "not JSON", id=name) for n, name in enumerate(names, 1)]]
    lake = lake_with(tmp_path, *files, [row(7, "id: missing")])
    text = b"".join(csv_of(lake, PATHS)).decode()
    listed = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [each["id"] for each in listed] == [*(name or "" for name in names), ""]
    assert listed[0] == {"page": "1", "row": "1", "id": '"', "reason": "not JSON"}


def test_lists_end_where_memory_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "LISTED", 3)
    monkeypatch.setattr(quarantine, "MOST_LISTED", 6)
    files = [[row(n, "not JSON", id=str(n)) for n in range(1, 5)] for _ in PATHS]
    lake = lake_with(tmp_path, *files)
    found = rejected(lake, PATHS)
    assert (len(found.listed), found.reasons["not JSON"]) == (3, 8)
    assert b"".join(csv_of(lake, PATHS)).count(b"\n") == 1 + 6


def test_a_file_without_its_columns_is_counted_and_not_listed(tmp_path: Path) -> None:
    (tmp_path / PATHS[0]).write_bytes(parquet.encode(pa.table({"id": ["a"]})))
    lake = Lake.at(str(tmp_path))
    found = rejected(lake, PATHS[:1])
    assert (found.facts.rows, found.listed) == (1, [])
    assert b"".join(csv_of(lake, PATHS[:1])) == b"page,row,id,reason\n"
