"""What a cache volume holds when it is used for the first time."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import check_directory, directory_key
from engine.model import MountedCache
from engine.root import Entry, Root, missing
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.session import Session


def fill(session: Session, mount: MountedCache, source: Snapshot | None, folder: Path) -> None:
    """Put the mount's source into the new volume `folder`, and give it the mount's mode.

    Raises EngineError if the source has no such directory.
    """
    if source is not None and mount.source is not None:
        with session.snapshots.view(source) as root:
            _copy(root, mount.source.path, folder)
    if mount.mode is not None:
        folder.chmod(mount.mode)


def key_of(session: Session, mount: MountedCache, source: Snapshot | None) -> str:
    """What a volume is known by: one that begins as something else is another one.

    Raises EngineError if the source has no such directory.
    """
    if source is None or mount.source is None:
        return mount.volume.key
    with session.snapshots.view(source) as root:
        check_directory(root, mount.source.path)
        contents = directory_key(session.snapshots, root, source, mount.source.path)
    return f"{mount.volume.key} from {contents}"


def _copy(root: Root, path: str, folder: Path) -> None:
    # Never by links: a volume is written to, and the layers of the store are not.
    try:
        top = Entry("", root.stat(path))
        real = Path(root.real(path))
        entries = list(root.walk(path))
    except OSError:
        raise missing(path) from None
    for entry in entries:
        source, place = real / entry.path, folder / entry.path
        if entry.is_dir:
            place.mkdir()
        elif stat.S_ISLNK(entry.status.st_mode):
            place.symlink_to(os.readlink(source))
        elif stat.S_ISREG(entry.status.st_mode):
            shutil.copyfile(source, place)
    # The innermost first: writing into a directory moves its time.
    for entry in (*reversed(entries), top):
        _finish(folder / entry.path, entry.status)


def _finish(place: Path, status: os.stat_result) -> None:
    if not os.path.lexists(place):
        return  # neither a file, a directory nor a link
    os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    if not place.is_symlink():
        place.chmod(stat.S_IMODE(status.st_mode))
    times = (status.st_mtime_ns, status.st_mtime_ns)
    os.utime(place, ns=times, follow_symlinks=False)
