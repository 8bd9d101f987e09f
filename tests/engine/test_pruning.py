"""Pruning's promises: least lately used first, and never what an engine uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import usage
from engine.liveness import living
from engine.pruning import entries, keep_below, prune, prune_volumes
from engine.settings import Settings
from engine.store import Store, digest
from tests.engine.upkeep_command import run

SIZE = 100_000
SHORTLY = 0.05
TICK = 0.02


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """An engine that starts later than all before it, in the times of files too.

    On many kernels those grow by ticks of up to 10 ms, and what is as old as an engine stays.
    """
    time.sleep(TICK)
    with closing(Store(path)) as store:
        yield store


def keep(store: Store, number: int, *more: str, size: int = SIZE) -> str:
    """Remember a layer of a size under a number's key, with others that it builds on."""
    folder = store.folder("layer")
    (folder / "file").write_bytes(bytes(size))
    layer = store.adopt(folder)
    store.remember(digest(number), {"layers": [*more, layer], "what": f"number {number}"})
    return layer


def filled(path: Path, count: int) -> list[str]:
    """A store of an engine that ended, with `count` entries of a layer each; their layers."""
    with opened(path) as store:
        layers = []
        for number in range(count):
            layers.append(keep(store, number))
            when = time.time() - 1000 + number
            os.utime(path / "memo" / digest(number)[:2] / digest(number), (when, when))
        return layers


def known(store: Store, count: int) -> list[int]:
    return [number for number in range(count) if store.recall(digest(number))]


def test_store_above_its_cap_loses_what_was_used_least_lately(path: Path) -> None:
    layers = filled(path, 10)
    with opened(path) as user:
        assert user.recall(digest(0))  # used last now
    with opened(path) as store:
        before = usage.measured(path).total
        assert keep_below(store, before) == 0
        freed = keep_below(store, before - 1)
        assert freed == before - usage.measured(path, anew=True).total
        assert before * 0.6 < before - freed <= before * 0.8
        assert set(os.listdir(store.layers)) == {layers[0], *layers[-6:]}
        assert known(store, 10) == [0, 4, 5, 6, 7, 8, 9]
        assert os.listdir(store.temporary) == ["alive"]


def test_layer_stays_as_long_as_an_entry_needs_it(path: Path) -> None:
    with opened(path) as store:
        below = keep(store, 0)
        above = keep(store, 1, below)
    with opened(path) as store:
        assert store.recall(digest(1))
        prune(store)
        assert known(store, 2) == [1]
        assert set(os.listdir(store.layers)) == {below, above}


def test_nothing_goes_that_was_used_since_the_oldest_engine_started(path: Path) -> None:
    filled(path, 3)
    with opened(path) as oldest:
        assert oldest.recall(digest(1))
        with opened(path) as middle:
            keep(middle, 5)
            unnamed = middle.folder("layer").rename(path / "layers" / "unnamed")
            taken = middle.blobs / "blob"
            taken.write_text("")
        with opened(path) as pruner:
            assert len(living(path)) == 2
            prune(pruner)
        assert known(oldest, 6) == [1, 5]
        assert unnamed.exists() and taken.exists()
    with opened(path) as pruner:
        prune(pruner)
        assert known(pruner, 6) == []
        assert not os.listdir(path / "layers") and not os.listdir(path / "blobs")


def test_blob_stays_with_its_entry(path: Path) -> None:
    with opened(path) as store:
        for name in ("needed", "other"):
            (store.blobs / name).write_bytes(bytes(SIZE))
            store.remember(digest(name), {"layers": [], "digest": name})
    with opened(path) as store:
        assert store.recall(digest("needed"))
        prune(store)
        assert os.listdir(store.blobs) == ["needed"]


def test_what_was_used_lately_stays_when_only_older_is_to_go(path: Path) -> None:
    filled(path, 10)  # a second apart, the last one 991 seconds ago
    with opened(path) as store:
        prune(store, unused_since=time.time_ns() - int(995.5e9))
        assert known(store, 10) == [5, 6, 7, 8, 9]


def test_entry_that_was_used_after_all_is_not_forgotten(path: Path) -> None:
    filled(path, 1)
    with opened(path) as pruner, opened(path) as user:
        (entry,) = entries(path)
        assert user.recall(entry.key)
        assert not pruner.forget(entry.key, entry.used)
        assert user.recall(entry.key)


def test_entry_that_is_being_read_is_not_forgotten_nor_gone_for_a_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 1)
    utime = os.utime
    with opened(path) as pruner, opened(path) as user, opened(path) as other:
        with ThreadPoolExecutor() as threads:
            (entry,) = entries(path)
            forgetting: list[Future[bool]] = []

            def late_utime(fd: int) -> None:
                monkeypatch.undo()
                forgetting.append(threads.submit(pruner.forget, entry.key, entry.used))
                time.sleep(SHORTLY)
                assert other.recall(entry.key)
                utime(fd)

            monkeypatch.setattr(os, "utime", late_utime)
            assert user.recall(entry.key)
            assert not forgetting[0].result()
        assert user.recall(entry.key)


def test_entry_that_is_forgotten_as_it_is_read_is_not_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 1)
    unlink = os.unlink
    with opened(path) as pruner, opened(path) as user, ThreadPoolExecutor() as threads:
        (entry,) = entries(path)
        reading: list[Future[dict[str, Any] | None]] = []

        def late_unlink(path: str) -> None:
            monkeypatch.undo()
            reading.append(threads.submit(user.recall, entry.key))
            time.sleep(SHORTLY)
            unlink(path)

        monkeypatch.setattr(os, "unlink", late_unlink)
        assert pruner.forget(entry.key, entry.used)
        assert reading[0].result() is None


def test_engines_never_lose_what_they_recalled_while_others_prune(path: Path) -> None:
    """Whatever an engine recalled stays readable until it ends, in many near misses."""
    count, rounds = 40, 60
    failures: list[str] = []
    done = threading.Event()

    def prune_all_the_time() -> None:
        while not done.is_set():
            with closing(Store(path)) as store, store.lock("prune"):
                prune(store)

    def use() -> None:
        for _ in range(rounds):
            with closing(Store(path)) as store:
                held: list[str] = []
                for number in range(count):
                    record = store.recall(digest(number))
                    layers = [keep(store, number)] if record is None else record["layers"]
                    held += layers
                time.sleep(0.01)
                lost = [name for name in held if not (store.layers / name / "file").exists()]
                failures.extend(lost)

    pruners = [threading.Thread(target=prune_all_the_time) for _ in range(2)]
    users = [threading.Thread(target=use) for _ in range(2)]
    for thread in (*pruners, *users):
        thread.start()
    for thread in users:
        thread.join()
    done.set()
    for thread in pruners:
        thread.join()
    assert failures == []


def test_volumes_are_the_last_to_go_and_never_one_in_use(path: Path) -> None:
    filled(path, 2)
    with opened(path) as store:
        for key in ("old", "used"):
            (store.volume(key) / "file").write_bytes(bytes(SIZE))
    with opened(path) as engine:
        total = usage.measured(path).total
        engine.volume("used")
        with opened(path) as pruner:
            keep_below(pruner, total - 1)
            assert known(pruner, 2) == [1]
            assert (pruner.volumes / digest("old")[:32]).exists()
            keep_below(pruner, 1000)
            assert [p.name for p in pruner.volumes.iterdir()] == [digest("used")[:32]]
            assert prune_volumes(pruner) == 0
        assert (engine.volume("used") / "file").stat().st_size == SIZE


def test_linked_file_counts_once_and_frees_room_with_its_last_link(path: Path) -> None:
    with opened(path) as store:
        first = keep(store, 1, size=10 * SIZE)
        folder = store.folder("layer")
        os.link(store.layers / first / "file", folder / "file")
        second = store.adopt(folder)
        store.remember(digest(2), {"layers": [second]})
        layers = usage.measured(path, anew=True).layers
        assert 10 * SIZE < sum(layers.values()) < 11 * SIZE
    with opened(path) as store:
        assert store.recall(digest(2))
        assert prune(store) < SIZE
        assert (store.layers / second / "file").stat().st_size == 10 * SIZE
    with opened(path) as store:
        assert prune(store) >= 10 * SIZE


def test_layer_deeper_than_a_path_may_be_long_is_removed(path: Path) -> None:
    with opened(path) as store:
        keep(store, 1)
        folder = store.folder("layer")
        script = "import os\nfor _ in range(1500): os.mkdir('abcdefgh'); os.chdir('abcdefgh')"
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
        store.remember(digest(2), {"layers": [store.adopt(folder)]})
        usage.measured(path)
    with opened(path) as store:
        prune(store)
        assert not os.listdir(store.layers)
        assert os.listdir(store.temporary) == ["alive"]


def test_sizes_are_remembered_and_a_damaged_memory_of_them_is_made_anew(path: Path) -> None:
    filled(path, 3)
    right = usage.measured(path)
    file = path / "usage.json"
    kept = json.loads(file.read_text())
    kept["sizes"] = {name: size + SIZE for name, size in kept["sizes"].items()}
    file.write_text(json.dumps(kept))
    assert usage.measured(path).total > right.total
    assert usage.measured(path, anew=True) == right
    file.write_text(file.read_text()[:-5])
    assert usage.measured(path) == right


def test_measuring_that_was_cut_short_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, 6)
    measure = usage.size
    asked: list[str] = []

    def measured(path: Path) -> int:
        if asked.count("layers") == 4:
            raise KeyboardInterrupt
        asked.append(path.parent.name)
        return measure(path)

    monkeypatch.setattr(usage, "_SAVED_EVERY", -1)
    monkeypatch.setattr(usage, "size", measured)
    with pytest.raises(KeyboardInterrupt):
        usage.measured(path, anew=True)
    asked.clear()
    usage.measured(path, anew=True)
    assert asked.count("layers") == 2


def test_cap_is_what_is_set_or_a_share_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = usage.Disk(size=50 * 10**9, free=1)
    monkeypatch.setattr(usage.Disk, "of", lambda _: disk)
    assert usage.cap(Settings(store=path)) == 10 * 10**9
    disk = usage.Disk(size=500 * 10**9, free=1)
    assert usage.cap(Settings(store=path)) == 20 * 10**9
    assert usage.cap(Settings(store=path, store_size=5)) == 5


def test_tidying_prunes_to_the_cap_that_is_set(path: Path) -> None:
    filled(path, 30)
    done = run(path, "tidy", BREWLINE_STORE_SIZE="1.5 MB")
    assert (done.returncode, done.stderr) == (0, "")
    assert usage.measured(path, anew=True).total <= 1_200_000
    with opened(path) as store:
        left = known(store, 30)
        assert left and left == list(range(left[0], 30))


def test_tidying_forgets_what_was_kept_for_another_version(path: Path) -> None:
    with opened(path) as store:
        old = store.kept / "types-0.json"
        old.write_text("")
        os.utime(old, (0, 0))
    assert run(path, "tidy").returncode == 0
    assert not old.exists()


@pytest.mark.parametrize("size", ["20", "much", "-1GB", "20 gb"])
def test_size_that_cannot_be_meant_is_one_clear_message(path: Path, size: str) -> None:
    done = run(path, "info", BREWLINE_STORE_SIZE=size)
    assert done.returncode == 3
    assert done.stderr == (f"BREWLINE_STORE_SIZE is {size!r}: write a size such as 500MB or 20GB\n")
