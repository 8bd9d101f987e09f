"""What a crash or a person does to a store: it is noticed, and the work is done again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine import light, program
from tests.engine.connection import ROOT
from tests.engine.machine import Process, family, survivors, wait_until

pytestmark = pytest.mark.engine

SECONDS = 30
"""How long an engine may take to end: it may tidy its store first, for a third of that."""


@pytest.fixture
def env(tiny_root: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "TINY_ROOT": str(tiny_root),
        "BREWLINE_STORE": str(tmp_path / "store"),
    }


def output(body: str, engine: Path, env: dict[str, str]) -> str:
    """What a program prints that must not fail."""
    done = program.run(body, engine, env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _each(pattern: str, damage: Callable[[Path], object]) -> Callable[[Path], None]:
    def all_of_them(store: Path) -> None:
        found = list(store.glob(pattern))
        assert found
        for path in found:
            damage(path)

    return all_of_them


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    # As if it was done another day: it is not noticed in the second in which the layer was made.
    os.utime(folder, (1e9, 1e9))


def _newest_layer(store: Path, damage: Callable[[Path], object]) -> None:
    damage(max(store.glob("layers/*"), key=lambda path: path.stat().st_ctime_ns))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda s: _newest_layer(s, shutil.rmtree), id="one layer is gone"),
        pytest.param(lambda s: _newest_layer(s, _empty), id="one layer is emptied"),
        pytest.param(_each("layers/*", shutil.rmtree), id="all layers are gone"),
        pytest.param(_each("layers/*", _empty), id="all layers are emptied"),
        pytest.param(_each("memo/*/*", _truncate), id="memory cut"),
        pytest.param(_each("memo/*/*", lambda p: p.write_bytes(bytes(99))), id="memory of zeros"),
        pytest.param(lambda s: shutil.rmtree(s / "memo"), id="memory is gone"),
        pytest.param(_each("*.json", _truncate), id="schema cut"),
        pytest.param(_each("*.json", lambda p: p.write_bytes(bytes(99))), id="schema of zeros"),
        pytest.param(_each("locks", shutil.rmtree), id="locks are gone"),
        pytest.param(_each("boot", lambda p: p.write_text("another")), id="reboot"),
        pytest.param(_each("boot", lambda p: p.write_bytes(b"")), id="boot cut"),
        pytest.param(_each("format", lambda p: p.write_bytes(b"")), id="format cut"),
    ],
)
def test_run_after_damage_gives_whole_results(
    engine_bin: Path, env: dict[str, str], damage: Callable[[Path], None]
) -> None:
    store = Path(env["BREWLINE_STORE"])
    work(engine_bin, env)
    damage(store)
    work(engine_bin, env)
    work(engine_bin, env)
    assert os.listdir(store / "tmp") == []


def work(engine: Path, env: dict[str, str]) -> None:
    """Run a program that must have whole results."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.light", engine, env["TINY_ROOT"], "work"],
        env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, program.complaints(done.stderr)) == (0, "")
    assert done.stdout.splitlines() == [light.seed("work", n) for n in range(light.COUNT)]


@pytest.mark.parametrize("damage", [_truncate, Path.unlink])
def test_damaged_blobs_are_packed_again(
    engine_bin: Path, env: dict[str, str], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    archive = tmp_path / "image.tar"
    body = f"await sh(tiny(), 'cat /bin/ls > /copy').as_tarball().export({str(archive)!r})"
    output(body, engine_bin, env)
    first = blobs(archive)
    _each("blobs/*", damage)(Path(env["BREWLINE_STORE"]))
    archive.unlink()
    output(body, engine_bin, env)
    assert blobs(archive) == first


def blobs(archive: Path) -> list[str]:
    """The blobs of an image's archive, which are called after what they hold."""
    found = []
    with tarfile.open(archive) as tar:
        for name in sorted(tar.getnames()):
            if name.startswith("blobs/sha256/"):
                file = tar.extractfile(name)
                assert file is not None
                found.append(hashlib.sha256(file.read()).hexdigest())
                assert name.endswith(found[-1])
    assert found
    return found


def test_reboot_in_the_middle_loses_what_the_kernel_had_not_written(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
    chain = tiny()
    for number in range(4):
        chain = sh(chain, f"cat /bin/ls > /copy{number}; sleep 0.1")
        await chain.sync()
    print("reached", flush=True)
    print(await sh(chain, "ls -l /copy0 /copy3").stdout(), flush=True)
    if os.environ.get("CRASH"):
        await sh(fresh(chain), "yes > /big").sync()
    """
    with program.started(body, engine_bin, {**env, "CRASH": "1"}) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "reached\n"
        everyone = family(running.pid)
        for process in reversed(everyone):
            with suppress(ProcessLookupError):  # its child's end may have ended it
                os.kill(process.pid, 9)
        assert not survivors(everyone[1:], SECONDS)
    # The machine went down: what the kernel had in memory only is gone, and it has started again.
    store = Path(env["BREWLINE_STORE"])
    assert list(store.glob("tmp/*"))
    for path in store.glob("layers/*/copy*"):
        os.truncate(path, 0)
    (store / "boot").write_text("the boot before")
    lines = output(body, engine_bin, env).splitlines()
    size = str((Path(env["TINY_ROOT"]) / "bin/ls").stat().st_size)
    assert [line.split()[4] for line in lines[1:3]] == [size, size]
    assert os.listdir(store / "tmp") == []


def test_store_of_a_newer_version_is_one_clear_message_and_left_alone(
    engine_bin: Path, env: dict[str, str]
) -> None:
    work(engine_bin, env)
    store = Path(env["BREWLINE_STORE"])
    (store / "format").write_text("2")
    before = sorted(store.rglob("*"))
    failed = program.run("pass", engine_bin, env)
    assert failed.returncode == 1
    assert (
        f"the embedded engine cannot start: the engine's store {store} is of another version "
        "(2, this engine has 1): name another folder in BREWLINE_STORE or remove it"
    ) in failed.stderr
    assert sorted(store.rglob("*")) == before
    (store / "format").write_text("1")
    work(engine_bin, env)


def test_killed_program_loses_nothing_that_was_finished(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
    print(await sh(tiny(), "cat /proc/uptime").stdout(), end="", flush=True)
    if os.environ.get("HANG"):
        await sh(fresh(tiny()), "sleep 70006").sync()
    """
    with program.started(body, engine_bin, {**env, "HANG": "1"}) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        everyone: list[Process] = []

        def busy() -> bool:
            everyone[:] = family(running.pid)
            return any("sleep 70006" in process.command for process in everyone)

        assert line and wait_until(busy, 120)
        running.kill()
        assert not survivors(everyone[1:], SECONDS)
    assert output(body, engine_bin, env) == line
