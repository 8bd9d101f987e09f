"""`engine info` and `engine prune`: what takes room, and giving it back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.store import Store, digest
from tests.engine import program
from tests.engine.machine import wait_until
from tests.engine.upkeep_command import run

MB = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def said(path: Path, *arguments: str, **env: str) -> str:
    """What a command of the engine prints that must not fail."""
    done = run(path, *arguments, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def facts(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(path, "info", "--json", BREWLINE_STORE_SIZE="1GB"))
    return found


def fill(path: Path) -> None:
    """A store with a large layer, a small one on top of it, a blob and a volume."""
    store = Store(path)
    layers: list[str] = []
    for number, size in enumerate((3 * MB, 1000)):
        folder = store.folder("layer")
        (folder / "file").write_bytes(bytes(size))
        layers.append(store.adopt(folder))
        record = {"layers": [*layers], "what": f"command {number}"}
        store.remember(digest(number), record)
    (store.blobs / "sha256:1").write_bytes(bytes(MB))
    store.remember(digest("blob"), {"layers": [], "digest": "sha256:1", "what": "a blob"})
    (store.volume("pip") / "wheel").write_bytes(bytes(2 * MB))
    store.close()


def test_info_tells_the_parts_and_what_made_the_biggest(path: Path) -> None:
    fill(path)
    before = sorted(path.rglob("*"))
    found = facts(path)
    assert (found["store"], found["cap"], found["engines"]) == (str(path), 1000 * MB, 0)
    assert found["free"] > 0
    assert found["total"] == sum(count for part, count in found["bytes"].items() if part != "tmp")
    assert 3 * MB < found["bytes"]["layers"] < 3.1 * MB
    assert 2 * MB < found["bytes"]["volumes"] < 2.1 * MB
    assert [part["what"] for part in found["biggest"]] == ["command 0", "a blob", "command 1"]
    assert [part["what"] for part in found["volumes"]] == ["pip"]
    newest = max(part["used"] for part in found["biggest"])
    assert abs(newest - path.stat().st_mtime) < 10
    text = said(path, "info", BREWLINE_STORE_SIZE="1GB")
    assert text.startswith(f"{path}: 6 MB of at most 1.0 GB\n")
    assert "3 MB        just now  command 0\n" in text
    assert [p for p in sorted(path.rglob("*")) if p.stem != "usage"] == before


def test_info_of_a_store_that_is_not_there_makes_none(path: Path) -> None:
    assert facts(path)["total"] == 0
    assert not path.exists()


def test_prune_leaves_cache_volumes_unless_told_otherwise(path: Path) -> None:
    fill(path)
    assert said(path, "prune").startswith("freed 4 MB in ")
    found = facts(path)
    assert found["bytes"]["layers"] + found["bytes"]["blobs"] < 10_000 + 4096
    assert [part["what"] for part in found["volumes"]] == ["pip"]
    assert said(path, "prune", "--volumes").startswith("freed 2 MB in ")
    assert facts(path)["volumes"] == []


def test_upkeep_is_no_engine_at_work(path: Path) -> None:
    fill(path)
    tidying, engine = Store(path, upkeep=True), Store(path)
    assert facts(path)["engines"] == 1
    engine.close()
    assert facts(path)["engines"] == 0
    assert "what engines at work use stays" not in said(path, "prune")
    tidying.close()


def test_prune_of_what_is_old_leaves_the_rest(path: Path) -> None:
    fill(path)
    old = path / "memo" / digest("blob")[:2] / digest("blob")
    when = old.stat().st_mtime - 8 * 86400
    os.utime(old, (when, when))
    assert said(path, "prune", "--volumes", "--older-than", "7d").startswith("freed 1 MB in ")
    assert [part["what"] for part in facts(path)["biggest"]] == ["command 0", "command 1"]


@pytest.mark.parametrize("time", ["7", "d", "", "-1d", "7w", "1.5d"])
def test_time_that_cannot_be_meant_is_refused(path: Path, time: str) -> None:
    fill(path)
    done = run(path, "prune", f"--older-than={time}")
    assert done.returncode == 2
    assert f"{time!r} is no time: write 90m, 12h or 7d" in done.stderr
    assert facts(path)["biggest"]


def test_prune_of_no_store_or_a_newer_one_is_one_clear_message(path: Path) -> None:
    assert said(path, "prune") == f"{path} is not there: nothing to prune\n"
    fill(path)
    (path / "format").write_text("2")
    done = run(path, "prune")
    assert done.returncode == 3
    assert "is of another version" in done.stderr and "Traceback" not in done.stderr
    assert list(path.glob("layers/*"))


@pytest.mark.engine
def test_prune_takes_nothing_from_an_engine_at_work(
    engine_bin: Path, tiny_root: Path, path: Path
) -> None:
    env = {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(path)}
    body = """
    chain = sh(tiny(), "cat /proc/uptime > /t")
    print(await sh(chain, "cat /t").stdout(), flush=True)
    volume = chain.with_mounted_cache("/v", dag.cache_volume("kept"))
    await sh(fresh(volume), "echo x > /v/x").sync()
    print("ready", flush=True)
    sys.stdin.readline()
    print(await sh(fresh(volume), "cat /t; cat /v/x").stdout(), flush=True)
    """
    first = program.run(body, engine_bin, env).stdout.split()[:2]
    fill(path)
    with program.started(body, engine_bin, env) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(3)]
        assert lines[2] == "ready\n"
        assert "what engines at work use stays" in said(path, "prune", "--volumes")
        found = facts(path)
        assert found["engines"] == 1
        assert [part["what"] for part in found["volumes"]] == ["kept"]
        out, err = running.communicate("\n", timeout=60)
        assert (out.split(), program.complaints(err)) == ([*first, "x"], "")
    left = [part["what"] for part in facts(path)["biggest"]]
    assert not {"command 0", "command 1", "a blob"} & set(left)
    assert "sh -c cat /t" in left


@pytest.mark.engine
def test_engine_at_work_keeps_the_store_below_its_cap(
    engine_bin: Path, tiny_root: Path, path: Path
) -> None:
    fill(path)
    body = """
    print(await sh(tiny(), "cat /proc/uptime").stdout(), end="", flush=True)
    sys.stdin.readline()
    """
    env = {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(path), "BREWLINE_STORE_SIZE": "5MB"}
    large = [file.parent for file in path.glob("layers/*/file") if file.stat().st_size > MB]
    with program.started(body, engine_bin, env) as running:
        assert wait_until(lambda: not any(folder.exists() for folder in large), 120)
        first, err = running.communicate("\n", timeout=120)
        assert first and program.complaints(err) == ""
    with program.started(body, engine_bin, env) as running:
        out, err = running.communicate("\n", timeout=120)
        assert (out, program.complaints(err)) == (first, "")


@pytest.mark.engine
def test_programs_that_end_at_once_keep_the_store_below_its_cap(
    engine_bin: Path, tiny_root: Path, path: Path
) -> None:
    body = 'await sh(fresh(tiny()), "head -c 3000000 /dev/urandom > /t").sync()'
    env = {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(path), "BREWLINE_STORE_SIZE": "10MB"}
    totals = []
    for _ in range(5):
        program.run(body, engine_bin, env)
        totals.append(facts(path)["total"])
    # What the last program made is not taken from it.
    assert 3 * MB < max(totals) < 10 * MB + 4 * MB
