"""A directory tree that is entered by paths which must not lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple

from engine import linux
from engine.errors import EngineError


def clean(path: str) -> str:
    """`path` as an absolute, normalised one; `..` stops at the root."""
    return os.path.normpath("/" + path).replace("//", "/", 1)


def missing(path: str) -> EngineError:
    """The error for a path that is not there, in the words of the recorded engine."""
    return EngineError(f"stat {path}: no such file or directory")


class Entry(NamedTuple):
    """One name below a directory: path relative to it, and what lstat says."""

    path: str
    status: os.stat_result

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory, and not a link to one."""
        return stat.S_ISDIR(self.status.st_mode)


class Root:
    """An open directory whose inside is addressed by absolute or relative paths alike."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
        """A descriptor of `path`, links followed within the root. Raises OSError.

        Opening a pipe does not wait for who opens its other end.
        """
        if not flags & os.O_PATH:
            flags |= os.O_NONBLOCK
        return linux.open_in_root(self._fd, path or "/", flags, mode if flags & os.O_CREAT else 0)

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The directory that holds `path`, as a descriptor, and the last name. Raises OSError."""
        folder, name = os.path.split(clean(path))
        fd = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def real(self, path: str) -> str:
        """The path on the host of what `path` resolves to. Raises OSError if it is not there."""
        fd = self.open(path, os.O_PATH)
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        """Status of `path`. Raises OSError."""
        flags = os.O_PATH | (0 if follow else os.O_NOFOLLOW)
        fd = self.open(path, flags)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def exists(self, path: str, *, follow: bool = True) -> bool:
        """Whether `path` is there."""
        try:
            self.stat(path, follow=follow)
        except OSError:
            return False
        return True

    def read(self, path: str) -> bytes:
        """The contents of a file. Raises OSError."""
        with os.fdopen(self.open(path), "rb") as file:
            return file.read()

    def make_dirs(
        self, path: str, *, mode: int = 0o755, owner: tuple[int, int] = (0, 0)
    ) -> list[str]:
        """Make `path` and what is missing above it; the paths made, outermost first."""
        made: list[str] = []
        current = "/"
        for name in [part for part in clean(path).split("/") if part]:
            current = os.path.join(current, name)
            if self.exists(current):
                continue
            with self.parent(current) as (fd, last):
                os.mkdir(last, 0o700, dir_fd=fd)
                os.chown(last, *owner, dir_fd=fd, follow_symlinks=False)
                os.chmod(last, mode, dir_fd=fd)
            made.append(current)
        return made

    def write(
        self, path: str, contents: bytes, *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """Write a file anew, with the directories above it."""
        self.make_dirs(os.path.dirname(clean(path)))
        fd = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(contents)
            os.fchown(fd, *owner)
            os.fchmod(fd, mode)

    def walk(self, path: str = "/") -> Iterator[Entry]:
        """Everything below `path`, each directory before its contents, names in byte order."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield from _walk(fd, "")
        finally:
            os.close(fd)


def _walk(fd: int, prefix: str) -> Iterator[Entry]:
    for name in sorted(os.listdir(fd), key=os.fsencode):
        status = os.lstat(name, dir_fd=fd)
        yield Entry(prefix + name, status)
        if stat.S_ISDIR(status.st_mode):
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            try:
                yield from _walk(below, f"{prefix}{name}/")
            finally:
                os.close(below)
