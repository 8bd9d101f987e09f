"""Failures of what holds the lake: one sentence that says what to do, and nothing half written."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.__main__ import main
from pipeline.errors import StorageError, UsageError
from pipeline.lake import Lake
from tests.brewery_api.server import BreweryServer

ROOT = Path(__file__).parents[2]


def refused(lake: str, api: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a run that ends as infrastructure."""
    assert main(["run", "--api", api, "--lake", lake]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    sentence, *more = printed.err.splitlines()
    assert not more, printed.err
    assert sentence.startswith("pipeline: The lake cannot be read or written at ")
    return sentence


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named_and_not_made(
    api: BreweryServer, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = f"{bucket}-missing/lake"
    for _ in range(2):
        assert refused(missing, api.url, capsys).endswith("make the bucket, or correct the URL.")
    assert main(["verify", "--lake", missing]) == 3


@pytest.mark.slow
def test_a_store_that_is_down_is_told_from_an_empty_lake(
    api: BreweryServer,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    Lake.at(bucket).fs.clear_instance_cache()
    try:
        assert refused(bucket, api.url, capsys).endswith("check AWS_ENDPOINT_URL and the network.")
        assert main(["verify", "--lake", bucket]) == 3
    finally:
        Lake.at(bucket).fs.clear_instance_cache()


@pytest.mark.slow
def test_a_bucket_name_that_cannot_be_is_told_in_one_line(
    api: BreweryServer, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused("s3://B_AD!/x", api.url, capsys).endswith("; correct the URL.")


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_store_that_never_answers_is_given_up_in_about_a_minute(
    api: BreweryServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "brewline")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        Lake.at("s3://silent/lake").fs.clear_instance_cache()
        began = time.monotonic()
        said = refused("s3://silent/lake", api.url, capsys)
        assert said.endswith("check AWS_ENDPOINT_URL and the network.")
        assert time.monotonic() - began < 100
    Lake.at("s3://silent/lake").fs.clear_instance_cache()


def test_an_s3_url_without_a_bucket_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        Lake.at("s3://")


@pytest.mark.slow
def test_a_full_disk_ends_as_infrastructure_and_leaves_the_last_good_run(
    api: BreweryServer, lake: Path
) -> None:
    before = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    # A limit on the size of files stands in for a full disk: every kind of test machine has it.
    run = ["-m", "pipeline", "run", "--api", api.url, "--lake", str(lake), "--run-id", "full"]
    done = subprocess.run(
        [sys.executable, *run],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 3, done.stderr
    assert "File too large" in done.stderr.splitlines()[-1]
    assert [path for path in lake.rglob("*.tmp")] == []
    after = {path: path.read_bytes() for path in before}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"claim.json"}


@pytest.mark.parametrize(
    "number, cure",
    [
        pytest.param(errno.ENOSPC, "free some space", id="full"),
        pytest.param(errno.EROFS, "give a lake that can be written", id="read-only"),
        pytest.param(errno.EACCES, "give this user the right to it", id="denied"),
        pytest.param(errno.EIO, "see that it is there", id="broken"),
    ],
)
def test_each_failure_of_a_disk_says_what_to_do(number: int, cure: str) -> None:
    with pytest.raises(StorageError, match=f"at /lake/x: {os.strerror(number)}; {cure}"):
        with storage.storage_errors("/lake/x"):
            raise OSError(number, os.strerror(number), "/lake/x")


def test_errors_of_the_program_are_not_blamed_on_the_storage() -> None:
    with pytest.raises(KeyError):
        with storage.storage_errors("/lake/x"):
            raise KeyError("x")


def test_what_a_failed_write_left_goes_when_the_run_is_flushed(tmp_path: Path) -> None:
    folder = tmp_path / "gold/run=a"
    storage.write_whole(str(folder / "b/file"), b"1")
    (folder / "b/.0.tmp").write_bytes(b"half")
    storage.flush([folder])
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["file"]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in the way").mkdir()
    with pytest.raises(OSError):
        storage.write_whole(str(tmp_path / "in the way"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["in the way"]
