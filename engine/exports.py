"""Results written to the client's machine."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import NO_ROOM, EngineError, reason
from engine.root import Root


@contextmanager
def written_to(target: Path) -> Iterator[None]:
    """Whatever keeps `target` from being written is told as one sentence."""
    try:
        yield
    except OSError as error:
        in_the_way = isinstance(error, (FileExistsError, NotADirectoryError))
        why = "a file is in its way" if in_the_way else reason(error)
        # The disk is that of the target, which need not be the store's.
        free = "free some room there, or " * (error.errno in NO_ROOM)
        raise EngineError(f"cannot write {target}: {why}; {free}export to another path") from None


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place when it is whole, or is removed."""
    # Two engines have the same process number, and a name may be as long as names can be.
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield draft
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def export_directory(root: Root, inside: str, target: Path, *, wipe: bool) -> None:
    """Write a directory's contents into the folder `target`, over what is there."""
    with written_to(target):
        if target.exists() and not target.is_dir():
            raise EngineError(f"{target} is a file: name a folder to export to")
        if wipe and target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True, exist_ok=True)
        _fill(target, root, inside)


def _fill(target: Path, root: Root, inside: str) -> None:
    source = Path(root.real(inside))
    folders = []
    for entry in root.walk(inside):
        place = target / entry.path
        mode = entry.status.st_mode
        if stat.S_ISDIR(mode):
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                place.unlink()
            place.mkdir(exist_ok=True)
            folders.append((place, entry.status))
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        if stat.S_ISLNK(mode):
            place.unlink(missing_ok=True)
            os.symlink(os.readlink(source / entry.path), place)
        elif stat.S_ISREG(mode):
            _copy(source / entry.path, place)
    for place, status in reversed(folders):
        place.chmod(stat.S_IMODE(status.st_mode))
        os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns))


def write_file(source: Path, target: Path) -> None:
    """Copy a file; `target` is whole or as it was, never half written.

    A file that was there keeps its mode, a new one has the source's.
    """
    with written_to(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    with draft_of(target) as draft:
        shutil.copyfile(source, draft)
        shutil.copymode(target if target.is_file() else source, draft)
        status = source.stat()
        os.utime(draft, ns=(status.st_mtime_ns, status.st_mtime_ns))
