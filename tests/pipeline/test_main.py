"""The command line: one JSON object or one sentence, and the exit code that the CI decides by."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.lake import Lake
from pipeline.quality import verify
from tests.brewery_api.breweries import Brewery
from tests.brewery_api.server import Answer, BreweryServer
from tests.pipeline.conftest import QUICK, SMALL, Serve

ROOT = Path(__file__).parents[2]
FIELDS = [
    "run_id",
    "status",
    "bronze_pages",
    "bronze_rows",
    "silver_rows",
    "quarantine_rows",
    "duplicate_rows",
    "gold_rows",
    "breweries",
    "compared_with",
    "problems",
    "warnings",
]


def test_run_prints_one_verdict_and_verify_the_same(
    api: BreweryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = str(tmp_path / "lake")
    assert main(["run", "--api", api.url, "--lake", lake, "--run-id", "r"]) == 0
    printed = capsys.readouterr().out
    verdict = json.loads(printed)
    assert list(verdict) == FIELDS
    assert (verdict["run_id"], verdict["bronze_rows"], verdict["problems"]) == ("r", SMALL, [])
    assert main(["verify", "--lake", lake]) == 0
    assert main(["verify", "--lake", lake, "--run-id", "r"]) == 0
    assert capsys.readouterr().out == 2 * printed


def test_runs_without_a_name_get_one_each(api: BreweryServer, tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["run", "--api", api.url, "--lake", str(tmp_path)]) == 0
    assert len(set(Lake.at(str(tmp_path)).committed_runs())) == 2


def fail(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """The exit code of a command that fails, and its last line on standard error."""
    code = main(argv)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return code, printed.err.splitlines()[-1]


def test_a_source_that_is_down_exits_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = tmp_path / "lake"
    code, says = fail(capsys, "run", "--api", "http://127.0.0.1:9", "--lake", str(lake))
    assert code == 5
    assert says.startswith("pipeline: The brewery API failed at http://127.0.0.1:9/v1/breweries")
    assert Lake.at(str(lake)).files("bronze") == []


def test_a_source_that_sends_html_exits_5(
    api: BreweryServer, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = Answer(200, b"<html>")
    api.faults.extend([Answer(200, b'{"total": 3}'), *[html] * QUICK.attempts])
    code, says = fail(capsys, "run", "--api", api.url, "--lake", str(lake))
    assert code == 5
    assert "(page 1): the answer is not a JSON array" in says


def test_wrong_data_exits_1_with_the_verdict(
    serve: Serve, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--api", serve([]).url, "--lake", str(lake), "--run-id", "r"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] != []
    assert Lake.at(str(lake)).current_run() == "good"


def test_verify_of_a_damaged_lake_exits_1(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(lake.glob("gold/*/*.csv")).unlink()
    assert main(["verify", "--lake", str(lake)]) == 1
    assert "missing" in json.loads(capsys.readouterr().out)["problems"][0]


@pytest.mark.parametrize(
    "argv, says",
    [
        pytest.param(("run", "--api", "brewery", "--lake", "L"), "http://", id="api"),
        pytest.param(("run", "--api", "http://x", "--lake", "nosuch://x"), "nosuch", id="lake"),
        pytest.param(
            ("run", "--api", "http://x", "--lake", "L", "--run-id", "a/b"), "run id", id="run-id"
        ),
        pytest.param(("verify", "--lake", "L", "--run-id", "../x"), "run id", id="verify-run-id"),
    ],
)
def test_usage_errors_exit_2(
    argv: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = fail(capsys, *argv)
    assert (code, says in message) == (2, True), message
    assert list(tmp_path.iterdir()) == []


def test_a_committed_run_id_is_verified_and_that_is_all(
    api: BreweryServer, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pointer = (lake / "current.json").read_bytes()
    argv = ("run", "--api", api.url, "--lake", str(lake), "--run-id", "good")
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == "good"
    assert api.requests == []
    assert (lake / "current.json").read_bytes() == pointer


def test_a_lake_that_cannot_be_written_exits_3(
    api: BreweryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    code, says = fail(capsys, "run", "--api", api.url, "--lake", str(file))
    assert code == 3
    assert "cannot be read or written" in says


def test_missing_arguments_exit_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "argv, says",
    [
        (("--rate", "-1"), "'-1' is not a whole number, 0 or more"),
        (("--jobs", "0"), "'0' is not a whole number, 1 or more"),
        (("--rate", "fast"), "'fast' is not a whole number"),
    ],
)
def test_senseless_numbers_exit_2(
    argv: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--lake", "L", *argv])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_source_and_lake_come_from_the_environment_too(
    api: BreweryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREWERY_API", api.url)
    monkeypatch.setenv("BREWERY_LAKE", str(tmp_path))
    assert main(["run", "--rate", "0", "--jobs", "2"]) == 0
    assert main(["verify"]) == 0


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = "{'duckdb', 'httpx', 'numpy', 'pyarrow'}"
    code = f"import sys, pipeline.__main__; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_a_source_that_fails_half_way_tells_how_to_go_on(
    api: BreweryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("run", "--api", api.url, "--lake", str(tmp_path), "--jobs", "1")
    api.before[4] = lambda: api.spoilt.append((1, lambda *_: Answer(500, b"")))
    code, says = fail(capsys, *argv)
    assert code == 5
    go_on = says.split("`")[1].split()
    api.spoilt.clear()
    before = len(api.requests)
    assert main([*argv, *go_on]) == 0
    assert "page=1&" not in str(api.requests[before:]) and "page=3&" in api.requests[before]


def wait_for_pages(folder: Path, least: int) -> None:
    deadline = time.monotonic() + 120
    while (landed := len(list(folder.rglob("page-*")))) < least:
        assert time.monotonic() < deadline, f"{landed} pages appeared, not {least}"
        time.sleep(0.02)


@contextmanager
def running(server: BreweryServer, lake: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run named `killed` in a process of its own, which ends with the block."""
    command = [sys.executable, "-m", "pipeline", "run", "--run-id", "killed"]
    process = subprocess.Popen(
        [*command, "--api", server.url, "--lake", str(lake)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=lambda blow: blow.name)
def test_a_run_killed_half_way_leaves_the_last_good_lake(
    serve: Serve, lake: Path, small_rows: list[Brewery], blow: signal.Signals
) -> None:
    server = serve(small_rows)
    # The first page lands, then the source asks for a long wait.
    server.too_many_every, server.retry_after = 3, "50"
    with running(server, lake) as process:
        wait_for_pages(lake / "bronze/run=killed", 1)
        process.send_signal(blow)
        errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == (-signal.SIGKILL if blow is signal.SIGKILL else 130)
    assert "Traceback" not in errors
    verdict = verify(Lake.at(str(lake)))
    assert (verdict.run_id, verdict.problems) == ("good", [])


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_page_that_it_was_killed_at(
    serve: Serve, lake: Path, small_rows: list[Brewery]
) -> None:
    server = serve([row | {"id": f"{n:04d}"} for n, row in enumerate(small_rows * 4)][1:])
    # Its meta data and five pages come, then the source asks for a long wait.
    later = Answer(429, b"", {"Retry-After": "50"})
    server.before[7] = lambda: server.spoilt.append((1, lambda *_: later))
    with running(server, lake) as process:
        wait_for_pages(lake / "bronze/run=killed", 5)
        process.kill()
        process.wait()
    server.spoilt.clear()
    landed = {int(path.name.split("-")[1]) for path in lake.rglob("run=killed/**/page-*")}
    before = len(server.requests)
    argv = ["run", "--api", server.url, "--lake", str(lake), "--run-id", "killed"]
    assert main(argv) == 0
    asked = {int(found) for found in re.findall(r"\?page=(\d+)", str(server.requests[before:]))}
    assert (landed | asked, landed & asked) == (set(range(1, 10)), set())
    assert Lake.at(str(lake)).current_run() == "killed"
