"""Trees of files: their digests, and copies of them that share what they can."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.permissions import applied
from engine.root import Entry, Root, clean
from engine.snapshot import Snapshot, Snapshots

_DIGEST_XATTR = "trusted.brewline.sha256"


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file of the store, kept beside it in an extended attribute.

    The attribute names the inode it was made for: a copy-up takes attributes along to a new one.
    """
    status = os.stat(path)
    try:
        owner, _, known = os.getxattr(path, _DIGEST_XATTR).decode().partition(":")
        if owner == str(status.st_ino):
            return known
    except OSError:
        pass
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        os.setxattr(path, _DIGEST_XATTR, f"{status.st_ino}:{found}".encode())
    except OSError:
        pass  # a view is read-only; the digest is right all the same
    return found


def set_file_digest(fd: int, found: str) -> None:
    """Keep the digest of an open file that is known from elsewhere."""
    os.setxattr(fd, _DIGEST_XATTR, f"{os.fstat(fd).st_ino}:{found}".encode())


def describe(path: str, mode: int, owner: tuple[int, int], contents: str, device: int = 0) -> bytes:
    """The line of a tree's digest for one entry; `contents` is a digest or a link's target."""
    kind = stat.S_IFMT(mode)
    line = f"{path}\0{kind}\0{contents}\0{stat.S_IMODE(mode)}\0{owner[0]}\0{owner[1]}"
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        line += f"\0{device}"
    return os.fsencode(line + "\n")


def tree_digest(root: Root, path: str, keep: Iterator[Entry] | None = None) -> str:
    """SHA-256 over names, kinds, modes, owners and contents of all below `path`; not of times."""
    total = hashlib.sha256()
    real = root.real(path)
    for entry in root.walk(path) if keep is None else keep:
        status = entry.status
        contents = _contents(f"{real}/{entry.path}", status)
        owner = status.st_uid, status.st_gid
        total.update(describe(entry.path, status.st_mode, owner, contents, status.st_rdev))
    return total.hexdigest()


def _contents(path: str, status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        return file_digest(path)
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a copy changes: owner (user and group id) and mode; None leaves as it is.

    A mode that is a text is symbolic, as in chmod(1). With `owned_way` the directories that are
    made to hold the copy get the owner too.
    """

    owner: tuple[int, int] | None = None
    mode: int | str | None = None
    owned_way: bool = False

    @property
    def none(self) -> bool:
        """Whether nothing is changed, so that files may be shared."""
        return self.owner is None and self.mode is None

    @property
    def way(self) -> tuple[int, int] | None:
        """The owner of directories made on the way, where it is not root."""
        return self.owner if self.owned_way else None


class Copy:
    """A copy of files out of one snapshot into a new layer over another one.

    The layer is put together outside a mount, so that unchanged files are shared by hard links:
    layers never change, and an overlay copies a file up before it writes to it.
    """

    def __init__(self, snapshots: Snapshots, source: Snapshot, below: Root, upper: Path) -> None:
        self._snapshots = snapshots
        self._source = source
        self._below = below
        self._upper = upper
        self._found: list[tuple[Path, os.stat_result]] = []

    def directories(self, path: str, owner: tuple[int, int] | None = None) -> Path:
        """The place of directory `path` in the new layer, made with those above it.

        Links in `path` are followed in the file system below; what is there keeps its attributes.
        """
        current = "/"
        for name in [part for part in clean(path).split("/") if part]:
            current = self._resolved(os.path.join(current, name))
            place = self._upper / current.lstrip("/")
            if place.is_dir():
                continue
            self.directories(os.path.dirname(current), owner)
            place.unlink(missing_ok=True)
            place.mkdir(mode=0o755)
            if self._below.exists(current):
                status = self._below.stat(current)
                _apply_status(place, status)
                self._found.append((place, status))
            elif owner is not None:
                os.chown(place, *owner)
        return self._upper / current.lstrip("/")

    def settle(self) -> None:
        """Give directories that were there their times again, which writing into them has moved."""
        for place, status in self._found:
            _set_times(place, status)

    def place(self, path: str, owner: tuple[int, int] | None = None) -> Path:
        """The place of a file `path` in the new layer, with the directories above it made."""
        folder, name = os.path.split(clean(path))
        return self.directories(folder, owner) / name

    def _resolved(self, path: str) -> str:
        """`path` with a link as its last part followed, in the file system below."""
        if (self._upper / path.lstrip("/")).is_dir() or not self._below.exists(path):
            return path
        real = self._below.real(path)
        return clean(real.removeprefix(self._below.real("/")))

    def entry(self, root: Root, entry: Entry, source: str, place: Path, how: Attributes) -> None:
        """Copy one entry, found at `source` in the source snapshot, to `place`."""
        status = entry.status
        if stat.S_ISDIR(status.st_mode):
            if not place.is_dir() or place.is_symlink():
                place.unlink(missing_ok=True)
                place.mkdir()
            _apply_status(place, status)
        elif stat.S_ISREG(status.st_mode):
            place.unlink(missing_ok=True)
            if not (how.none and self._linked(source, place)):
                _copy_file(Path(root.path) / source.lstrip("/"), place)
                _apply_status(place, status)
        else:
            _copy_special(Path(root.path) / source.lstrip("/"), status, place)
        _apply(place, status, how)

    def _linked(self, source: str, place: Path) -> bool:
        for candidate in self._snapshots.find(self._source, source):
            try:
                os.link(candidate, place, follow_symlinks=False)
                return True
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                return False  # too many links, or no permission: copy instead
        return False


def _copy_file(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    _copy_capability(source, place)


def _copy_capability(source: Path, place: Path) -> None:
    try:
        os.setxattr(place, "security.capability", os.getxattr(source, "security.capability"))
    except OSError:
        pass  # there is none


def _copy_special(source: Path, status: os.stat_result, place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), place)
    elif not stat.S_ISSOCK(status.st_mode):
        os.mknod(place, status.st_mode, status.st_rdev)
    else:
        return
    os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    _set_times(place, status)


def _apply_status(place: Path, status: os.stat_result) -> None:
    os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    os.chmod(place, stat.S_IMODE(status.st_mode))
    _set_times(place, status)


def _set_times(place: Path, status: os.stat_result) -> None:
    times = (status.st_mtime_ns, status.st_mtime_ns)
    os.utime(place, ns=times, follow_symlinks=False)


def _apply(place: Path, status: os.stat_result, how: Attributes) -> None:
    if how.owner is not None and os.path.lexists(place):
        os.chown(place, *how.owner, follow_symlinks=False)
        if how.mode is None and not stat.S_ISLNK(status.st_mode):
            os.chmod(place, stat.S_IMODE(status.st_mode))  # chown clears set-id bits
    if how.mode is not None and not stat.S_ISLNK(status.st_mode):
        mode = applied(how.mode, status.st_mode) if isinstance(how.mode, str) else how.mode
        os.chmod(place, mode)
