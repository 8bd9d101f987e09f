"""The directories of a layer that is being unpacked, reached without ever leaving it.

Every name is resolved from the top directory's descriptor, one component after the other; a
symbolic link on the way is followed with the top as its root.
"""

from __future__ import annotations

import os
import shutil
import stat

from engine.linux import open_in_root
from engine.oci.layer import is_whiteout

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
OVERLAY_OPAQUE = "trusted.overlay.opaque"


class Folders:
    """Directories below `root`, a descriptor; paths are clean and relative."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: tuple[str, int] | None = None  # the one used last

    def open(self, path: str) -> int:
        """A new descriptor of a directory that is there. Raises OSError."""
        return self._descend(path, create=False)

    def at(self, path: str) -> int:
        """The directory `path`, made where it is missing; open until another one is asked for."""
        if self._open and self._open[0] == path and os.fstat(self._open[1]).st_nlink:
            return self._open[1]
        self.close()
        self._open = (path, self._descend(path, create=True))
        return self._open[1]

    def close(self) -> None:
        """Let go of the directory used last."""
        if self._open:
            os.close(self._open[1])
            self._open = None

    def _descend(self, path: str, *, create: bool) -> int:
        fd = os.dup(self._root)
        parts = path.split("/") if path else []
        for number, part in enumerate(parts, start=1):
            try:
                inner = self._step(fd, part, "/".join(parts[:number]), create)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def _step(self, folder: int, name: str, path: str, create: bool) -> int:
        try:
            return os.open(name, DIRECTORY, dir_fd=folder)
        except FileNotFoundError:
            if not create:
                raise
        except OSError:
            status = os.lstat(name, dir_fd=folder)
            if stat.S_ISLNK(status.st_mode):
                return open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
            if not is_whiteout(status):
                raise
        hides_below = clear(folder, name, keep_directory=True)
        os.mkdir(name, dir_fd=folder)
        fd = os.open(name, DIRECTORY, dir_fd=folder)
        os.fchmod(fd, 0o755)
        if hides_below:
            os.setxattr(fd, OVERLAY_OPAQUE, b"y")
        return fd


def clear(folder: int, name: str, *, keep_directory: bool) -> bool:
    """Make room for `name`; tells whether the name had been hidden in the layers below."""
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(status.st_mode):
        if not keep_directory:
            shutil.rmtree(name, dir_fd=folder)
        return False
    os.unlink(name, dir_fd=folder)
    return is_whiteout(status)
