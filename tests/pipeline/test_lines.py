"""Bronze's bytes as lines: where each stood, and nothing that is no text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import bronze, lines
from pipeline.bronze import Landed
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.lines import LINES_SCHEMA, read_lines, to_batch


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def landed(lake: Lake, number: int, text: bytes) -> Landed:
    """A page of any bytes, as a source that is none of ours might have left it."""
    data = pa.Codec("zstd").compress(text, asbytes=True)
    path = f"page-{number}.ndjson.zst"
    lake.write(f"bronze/run=r/{path}", data)
    rows = text.count(b"\n")
    digest = hashlib.sha256(data).hexdigest()
    return Landed(
        page=number,
        path=path,
        rows=rows,
        sha256=digest,
        first_id=None,
        last_id=None,
        ascending=True,
    )


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["a-page-at-a-time", "joined"])
def test_every_line_knows_its_page_and_row(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(lines, "BATCH_BYTES", size)
    pages = [landed(lake, n, text) for n, text in ((3, b"a\nb\n"), (4, b""), (9, "ü\n".encode()))]
    with read_lines(lake, "r", pages) as reader:
        table = reader.read_all()
    assert table.schema == LINES_SCHEMA
    assert table.to_pylist() == [
        {"line": "a\n", "page": 3, "row": 1},
        {"line": "b\n", "page": 3, "row": 2},
        {"line": "ü\n", "page": 9, "row": 1},
    ]


def test_no_pages_are_no_lines(lake: Lake) -> None:
    with read_lines(lake, "r", []) as reader:
        assert reader.read_all().num_rows == 0
    assert to_batch(b"", []).num_rows == 0


def test_bytes_that_are_no_text_are_refused_with_their_pages(lake: Lake) -> None:
    pages = [landed(lake, 7, b'{"id": "\xff"}\n')]
    refused = pytest.raises(LakeError, match="not UTF-8 in pages 7 to 7")
    with refused, read_lines(lake, "r", pages) as reader:
        reader.read_all()


def test_a_page_that_ends_within_a_line_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="holds 1 rows"):
        bronze.read_text(lake, "r", landed(lake, 1, b"a\nb"))
