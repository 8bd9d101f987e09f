"""The verdict on the command line: the page where it was asked for, one sentence, the exit code."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.lake import Lake
from pipeline.quality import verify
from tests.brewery_api.breweries import Brewery
from tests.integration.lake import keep_page
from tests.pipeline.conftest import Serve


def test_a_page_and_the_list_of_rejected_rows_are_written_where_asked(
    good_lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "reports/data.html"
    before = sorted(good_lake.rglob("*"))
    assert main(["verify", "--lake", str(good_lake), "--page", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    with (tmp_path / "reports/data-quarantine.csv").open(newline="") as file:
        listed = {(row["id"], row["reason"]) for row in csv.DictReader(file)}
    rejected = verify(Lake.at(str(good_lake))).rejected
    assert listed == {(name, reason) for _, _, name, reason in rejected.listed}
    assert "data-quarantine.csv" in page.read_text(encoding="utf-8")
    assert capsys.readouterr().err == ""
    assert sorted(good_lake.rglob("*")) == before


def test_a_failure_is_told_in_one_sentence_with_what_to_do(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next(lake.glob("bronze/**/page*")).unlink()
    page = tmp_path / "page.html"
    assert main(["verify", "--lake", str(lake), "--page", str(page)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("pipeline: Run good fails: bronze: bronze/run=good/")
    assert told.endswith("Run again with another run id: bronze is fetched anew.")
    assert "missing from the lake" in page.read_text(encoding="utf-8")


def test_a_warning_is_shown_and_exits_0(
    serve: Serve, small_rows: list[Brewery], lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"brewery_type": "meadery"} for row in small_rows]
    api = serve(rows).url
    assert main(["run", "--api", api, "--lake", str(lake), "--run-id", "odd"]) == 0
    printed = capsys.readouterr()
    assert "that is not known: meadery" in printed.err
    assert json.loads(printed.out)["status"] == "warn"
    assert main(["verify", "--lake", str(lake)]) == 0
    assert "Run odd passes with a warning: silver: " in capsys.readouterr().err


def test_limits_that_cannot_be_read_exit_2(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lake / "limits.toml").write_text("rows_lost = 1")
    assert main(["verify", "--lake", str(lake)]) == 2
    assert "limits.toml: write rows_lost = {" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_exits_2(
    good_lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    argv = ["verify", "--lake", str(good_lake), "--page", str(tmp_path / "file/page.html")]
    assert main(argv) == 2
    assert "The page cannot be written to" in capsys.readouterr().err


def test_the_driver_keeps_the_page_of_a_run_that_was_not_committed(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, page = str(tmp_path / "lake"), tmp_path / "verdict.html"
    keep_page(lake, page)
    assert not page.exists()
    assert main(["run", "--api", serve([]).url, "--lake", lake, "--run-id", "r"]) == 1
    assert "verdict/run=r/verdict.html" in capsys.readouterr().err
    keep_page(lake, page)
    assert "the source gave no breweries" in page.read_text(encoding="utf-8")
