"""Disks that are full or read-only: one clear message, nothing lost, and the next run works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import light, program
from tests.engine.connection import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SIZE = r"[\d.]+ (?:bytes|kB|MB|GB)"
LACK = (
    rf"only {SIZE} are free on the disk of the engine's store {{store}}, and the {SIZE} of the "
    rf"store \(it may take {SIZE}\) are kept: free some room, run `engine prune`, or name a "
    r"folder on another disk in BREWLINE_STORE"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for the tiny root and little more."""
    path = tmp_path / "disk"
    path.mkdir()
    # Not a tmpfs: an overlay's upper layer may keep attributes that a tmpfs has not.
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def env(tiny_root: Path, disk: Path) -> dict[str, str]:
    return {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(disk / "store")}


def fill(file: Path, leave: int = 0) -> None:
    """Fill a disk with one file, but for so many bytes."""
    found = os.statvfs(file.parent)
    with file.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, found.f_bavail * found.f_frsize - (1 << 18) - leave)


def works(engine: Path, env: dict[str, str], name: str) -> None:
    """A program has whole results."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.light", engine, env["TINY_ROOT"], name],
        env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == [light.seed(name, n) for n in range(light.COUNT)]
    assert (done.returncode, program.complaints(done.stderr)) == (0, "")


def test_exec_that_fills_the_disk_fails_with_what_the_store_takes_of_it(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = 'await sh(tiny(), "head -c 90000000 /dev/zero > /big").sync()'
    failed = program.run(body, engine_bin, env)
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert re.search(f"exit code: 1; {LACK.format(**_names(env))}", failed.stderr)
    works(engine_bin, env, "after")
    assert os.listdir(f"{env['BREWLINE_STORE']}/tmp") == []


def test_engine_that_fills_the_disk_fails_with_what_the_store_takes_of_it(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large/file").write_bytes(bytes(90_000_000))
    body = f"await dag.host().directory({str(tmp_path / 'large')!r}).sync()"
    failed = program.run(body, engine_bin, env)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    expected = f"dagger.QueryError: no space left on device: {LACK.format(**_names(env))}"
    assert re.fullmatch(expected, last), last
    works(engine_bin, env, "after")
    assert os.listdir(f"{env['BREWLINE_STORE']}/tmp") == []


def test_export_that_fills_another_disk_names_that_one(
    engine_bin: Path, env: dict[str, str], disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(60_000_000))
    body = f"await dag.host().file({str(tmp_path / 'large')!r}).export({str(disk / 'copy')!r})"
    failed = program.run(body, engine_bin, {**env, "BREWLINE_STORE": str(tmp_path / "store")})
    assert failed.stderr.strip().splitlines()[-1] == (
        f"dagger.QueryError: cannot write {disk / 'copy'}: no space left on device; "
        "free some room there, or export to another path"
    )
    assert os.listdir(disk) == ["lost+found"]


def test_disk_full_of_other_things_costs_the_warm_cache_nothing(
    engine_bin: Path, env: dict[str, str], disk: Path
) -> None:
    body = """
    print(await sh(tiny(), "cat /proc/uptime").stdout(), end="", flush=True)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    """
    # Above its share of so small a disk, the store would be pruned in good right.
    env["BREWLINE_STORE_SIZE"] = "40MB"
    warm = program.run(body, engine_bin, env)
    assert warm.returncode == 0
    fill(disk / "other", leave=300_000)
    with program.started(body, engine_bin, env) as running:
        assert running.stdin is not None
        assert running.stdout is not None and running.stderr is not None
        shown = ""
        while not program.complaints(shown):
            line = running.stderr.readline()
            assert line, shown
            shown += line
        print(file=running.stdin, flush=True)
        shown += running.stderr.read()
        assert running.stdout.read() == warm.stdout
    said = program.complaints(shown).strip()
    assert re.fullmatch(LACK.format(**_names(env)), said), said
    (disk / "other").unlink()
    last = program.run(body, engine_bin, env)
    assert (last.stdout, last.stderr) == (warm.stdout, "")


def test_engine_on_a_disk_that_is_full_to_the_last_byte_says_so(
    engine_bin: Path, env: dict[str, str], disk: Path
) -> None:
    works(engine_bin, env, "before")
    with (disk / "other").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1024))
    failed = program.run("pass", engine_bin, env)
    assert failed.returncode == 1
    assert "cannot be used: No space left on device; free some room or name" in failed.stderr
    (disk / "other").unlink()
    works(engine_bin, env, "before")
    assert os.listdir(f"{env['BREWLINE_STORE']}/tmp") == []


def test_read_only_store_is_one_clear_message(
    engine_bin: Path, env: dict[str, str], disk: Path
) -> None:
    works(engine_bin, env, "before")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    failed = program.run("pass", engine_bin, env)
    assert failed.returncode == 1
    assert (
        f"the engine's store {env['BREWLINE_STORE']} cannot be used: Read-only file system; "
        "name another folder in BREWLINE_STORE"
    ) in failed.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    works(engine_bin, env, "before")


def _names(env: dict[str, str]) -> dict[str, str]:
    return {"store": re.escape(env["BREWLINE_STORE"])}
