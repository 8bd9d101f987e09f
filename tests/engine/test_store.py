"""The store's promises: shared by engines, swept of dead ones, refused when it is not theirs."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import reboot
from engine import store as store_module
from engine.errors import StoreError
from engine.store import FORMAT, Store, digest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _open_and_remember(path: Path, number: int) -> None:
    store = Store(path)
    store.remember(digest("shared"), {"layers": [], "by": number})
    for count in range(50):
        store.remember(digest(number, count), {"count": count})
    (store.folder("work") / "file").write_text("x")
    store.close()


def test_engines_that_start_at_once_on_a_new_store_all_work(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_open_and_remember, args=(path, n)) for n in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    store = Store(path)
    assert all(store.recall(digest(n, c)) == {"count": c} for n in range(6) for c in range(50))
    assert os.listdir(path / "tmp") == [store.temporary.name]
    store.close()


def test_opening_one_store_many_times_never_takes_a_living_engine_s_folder(path: Path) -> None:
    def use(_: int) -> bool:
        store = Store(path)
        folder = store.folder("work")
        (folder / "file").write_text("kept")
        alive = (store.temporary / "alive").exists() and (folder / "file").exists()
        store.close()
        return alive

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(64)))


def test_what_is_remembered_is_there_for_the_next_engine(path: Path) -> None:
    first = Store(path)
    layer = first.folder("layer") / "fs"
    layer.mkdir()
    (layer / "file").write_text("contents")
    name = first.adopt(layer)
    first.remember("ab" * 32, {"layers": [name], "more": "é"})
    first.close()
    second = Store(path)
    assert second.recall("ab" * 32) == {"layers": [name], "more": "é"}
    assert (second.layers / name / "file").read_text() == "contents"
    assert second.recall("cd" * 32) is None
    second.close()


def test_record_without_its_layer_is_forgotten(path: Path) -> None:
    store = Store(path)
    store.remember("ab" * 32, {"layers": ["gone"]})
    assert store.recall("ab" * 32) is None
    store.close()


@pytest.mark.parametrize(
    "contents", [b"", b'{"layers": [', b"\0" * 20, b"\xff\xfe", b"[]", b"null"]
)
def test_damaged_record_is_forgotten(path: Path, contents: bytes) -> None:
    store = Store(path)
    store.remember("ab" * 32, {"layers": []})
    (path / "memo/ab" / ("ab" * 32)).write_bytes(contents)
    assert store.recall("ab" * 32) is None
    store.close()


def test_folder_of_an_engine_that_was_killed_is_swept(path: Path) -> None:
    script = "import sys,time; from engine.store import Store; from pathlib import Path\n"
    script += "s = Store(Path(sys.argv[1])); (s.folder('half') / 'file').write_text('x')\n"
    script += "print('ready', flush=True); time.sleep(60)\n"
    engine = subprocess.Popen(
        ["python3", "-c", script, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(store_module.__file__).parents[1])},
    )
    assert engine.stdout is not None
    assert engine.stdout.readline() == b"ready\n"
    try:
        living = Store(path)
        living.close()
        assert len(list(path.glob("tmp/*/half-*/file"))) == 1  # it lives
    finally:
        engine.kill()
        engine.wait()
        engine.stdout.close()
    Store(path).close()
    assert not list(path.glob("tmp/*"))


def test_folder_of_an_engine_that_died_while_it_started_is_swept(path: Path) -> None:
    Store(path).close()
    (path / "tmp/2-dead").mkdir()
    Store(path).close()
    assert not list(path.glob("tmp/*"))


@pytest.mark.parametrize("version", ["2", "0", "future\n"])
def test_store_of_another_format_is_refused_and_left_alone(path: Path, version: str) -> None:
    Store(path).close()
    (path / "format").write_text(version)
    (path / "layers/precious").mkdir()
    with pytest.raises(StoreError, match="is of another version .* BREWLINE_STORE or remove it"):
        Store(path)
    assert (path / "layers/precious").is_dir()
    assert (path / "format").read_text() == version


def test_refused_store_is_not_kept_locked(path: Path) -> None:
    Store(path).close()
    (path / "format").write_text("2")
    for _ in range(2):
        with pytest.raises(StoreError):
            Store(path)
    (path / "format").write_text(FORMAT)
    Store(path).close()


def test_format_that_a_full_disk_left_empty_is_written_again(path: Path) -> None:
    Store(path).close()
    (path / "format").write_text("")
    Store(path).close()
    assert (path / "format").read_text() == FORMAT


def a_layer(store: Store, contents: str = "contents") -> str:
    """A layer with one file."""
    folder = store.folder("layer")
    (folder / "file").write_text(contents)
    return store.adopt(folder)


def test_after_a_reboot_only_what_was_finished_last_is_forgotten(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(reboot, "_BOOT_ID", boot)
    old, new = "ab" * 32, "cd" * 32
    store = Store(path)
    made = [a_layer(store)]
    store.remember(old, {"layers": made})
    time.sleep(0.1)
    made.append(a_layer(store))
    store.remember(new, {"layers": made[1:]})
    blob = store.blobs / "blob"
    blob.write_text("")
    # Between the two layers, however long each step took.
    first, second = ((store.layers / layer).stat().st_ctime for layer in made)
    limit = blob.stat().st_ctime - (first + second) / 2
    monkeypatch.setattr(reboot, "_WRITE_BACK_SECONDS", limit)
    store.close()
    again = Store(path)  # an engine's end is no reboot, and using what is old makes it no newer
    assert again.recall(new) and again.recall(old)
    again.close()
    boot.write_text("second\n")
    after = Store(path)
    assert after.recall(old)
    assert after.recall(new) is None
    assert not list(after.blobs.iterdir())
    assert os.listdir(after.temporary) == ["alive"]
    after.remember(new, {"layers": [a_layer(after)]})
    after.close()
    last = Store(path)
    assert last.recall(new)
    last.close()


def test_stamps_are_written_once(path: Path) -> None:
    """An engine that is killed while it starts must not leave half a stamp."""
    Store(path).close()
    before = [(path / name).stat() for name in ("boot", "format")]
    Store(path).close()
    after = [(path / name).stat() for name in ("boot", "format")]
    assert [s.st_mtime_ns for s in after] == [s.st_mtime_ns for s in before]


def _emptied(layer: Path) -> None:
    (layer / "file").unlink()


def _added_to(layer: Path) -> None:
    (layer / "more").write_text("")


def _removed(layer: Path) -> None:
    _emptied(layer)
    layer.rmdir()


def _replaced(layer: Path) -> None:
    _removed(layer)
    layer.write_text("")


@pytest.mark.parametrize("damage", [_emptied, _added_to, _removed, _replaced])
def test_entry_with_a_damaged_layer_is_forgotten(
    path: Path, damage: Callable[[Path], None]
) -> None:
    store = Store(path)
    folder = store.folder("layer")
    (folder / "file").write_text("contents")
    os.utime(folder, (1e9, 1e9))
    layer = store.adopt(folder)
    store.remember("ab" * 32, {"layers": [layer]})
    store.close()
    whole = Store(path)
    assert whole.recall("ab" * 32)
    whole.close()
    damage(path / "layers" / layer)
    after = Store(path)
    assert after.recall("ab" * 32) is None
    after.close()


def test_store_is_for_its_owner_alone(path: Path) -> None:
    store = Store(path)
    assert path.stat().st_mode & 0o777 == 0o700
    store.close()


def test_store_where_a_file_is_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: Not a directory; .* BREWLINE_STORE"):
        Store(tmp_path / "file/store")


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_store_that_cannot_be_written_says_so(path: Path) -> None:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(path)], check=True)
    try:
        with pytest.raises(StoreError, match="Read-only file system; .* BREWLINE_STORE"):
            Store(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_store_on_a_full_disk_says_so_and_works_when_there_is_room(path: Path) -> None:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=True)
    try:
        filling = path / "filling"
        with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(1024))
        with pytest.raises(StoreError, match="No space left on device; free some room"):
            Store(path)
        filling.unlink()
        Store(path).close()
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_lock_is_respected_by_other_processes(path: Path) -> None:
    store = Store(path)
    with store.lock("volume cache"):
        names = [p for p in (path / "locks").iterdir() if p.stat().st_size == 0]
        assert sum(map(_is_locked, names)) == 1
    assert not any(map(_is_locked, (path / "locks").iterdir()))
    store.close()


def _is_locked(path: Path) -> bool:
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_digest_tells_apart_what_differs() -> None:
    assert digest("a", "b") == digest("a", "b")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different = [digest("ab"), digest("a", "b"), digest(["a", "b"]), digest("a", ["b"]), digest()]
    assert len(set(different)) == len(different)
    assert json.dumps("é") and len(digest("é", "\udcff")) == 64
