"""Files that are worked out once: read again, made again when damaged, forgotten when unused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.kept import forget_unused, kept
from engine.store import Store

DAY = 24 * 3600


def never() -> bytes:
    raise AssertionError("it is kept")


def aged(path: Path, days: float) -> None:
    when = time.time() - days * DAY
    os.utime(path, (when, when))


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    assert kept(tmp_path / "file", lambda: b"made") == b"made"
    assert kept(tmp_path / "file", never) == b"made"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("damage", [b"", b"mad", b"made more"], ids=["empty", "short", "other"])
def test_what_is_damaged_is_made_again(tmp_path: Path, damage: bytes) -> None:
    kept(tmp_path / "file", lambda: b"made")
    (tmp_path / "file").write_bytes(damage)
    assert kept(tmp_path / "file", lambda: b"anew") == b"anew"
    assert kept(tmp_path / "file", never) == b"anew"


def test_what_nobody_used_for_a_month_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    names = ("types-1.json", "types-2.json", "types-3.json", "seccomp-1.bpf.draft")
    for name in names:
        kept(store.kept / name, lambda: b"made")
    # As they lay in stores before there was a folder for them.
    before = [store.path / "greeting-1.json", store.path / "seccomp-2.bpf"]
    for path in before:
        kept(path, lambda: b"made")
    used, recent, old, draft = (store.kept / name for name in names)
    for path in (used, old, draft, *before, store.path / "format", store.path / "boot"):
        aged(path, 31)
    aged(recent, 29)
    (store.path / "usage.json").write_text("{}")
    aged(store.path / "usage.json", 31)
    kept(used, never)
    forget_unused(store.path)
    assert used.exists() and recent.exists()
    assert not any(path.exists() for path in (old, draft, *before))
    assert all((store.path / name).exists() for name in ("format", "boot", "usage.json"))
    store.close()
