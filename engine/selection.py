"""Which entries of a tree are taken: include and exclude patterns, and .gitignore files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from engine.gitignore import GitIgnore
from engine.patterns import Matched, PathFilter
from engine.root import Entry, Root
from engine.store import digest


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns in the sense of .dockerignore; nothing given takes everything."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    gitignore: bool = False
    base: str = ""
    """Where the tree lies in its Git repository, with a slash behind it."""
    above: GitIgnore = GitIgnore()
    """The rules of the files above the tree in its Git repository."""

    @property
    def key(self) -> str:
        """What stands for the selection in a cache key."""
        return digest(self.include, self.exclude, self.gitignore, self.base)

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.include or self.exclude or self.gitignore)

    def of(self, root: Root, path: str) -> Iterator[Entry]:
        """The selected entries below `path`, each directory before its contents.

        A directory that is not selected itself comes in before what is selected below it; what
        cannot be selected is not looked into.
        """
        if self.everything:
            yield from root.walk(path)
            return
        fd = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            walk = _Walk(PathFilter(self.include, self.exclude), self.gitignore, self.base)
            yield from walk.below(fd, "", None, self.above)
        finally:
            os.close(fd)


class _Walk:
    def __init__(self, chosen: PathFilter, gitignore: bool, base: str) -> None:
        self._chosen = chosen
        self._gitignore = gitignore
        self._base = base

    def below(
        self, fd: int, prefix: str, state: tuple[Matched, Matched] | None, ignore: GitIgnore
    ) -> Iterator[Entry]:
        if self._gitignore and (text := _ignore_file(fd)):
            ignore = ignore.including(f"{self._base}{prefix}".rstrip("/"), text)
        for name in sorted(os.listdir(fd), key=os.fsencode):
            status = os.lstat(name, dir_fd=fd)
            path = prefix + name
            directory = stat.S_ISDIR(status.st_mode)
            ignored = self._gitignore and ignore.leaves_out(self._base + path, directory=directory)
            if ignored and not (directory and ignore.negates):
                continue
            step = self._chosen.step(path, directory=directory, parent=state)
            entry = Entry(path, status)
            keep = step.keep and not ignored
            if keep:
                yield entry
            if directory and step.descend:
                inner = self._inside(fd, name, path, step.state, ignore)
                for number, below in enumerate(inner):
                    if number == 0 and not keep:
                        yield entry
                    yield below

    def _inside(
        self, fd: int, name: str, path: str, state: tuple[Matched, Matched], ignore: GitIgnore
    ) -> Iterator[Entry]:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        try:
            yield from self.below(inner, f"{path}/", state, ignore)
        finally:
            os.close(inner)


def _ignore_file(fd: int) -> str:
    try:
        file = os.open(".gitignore", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
    except OSError:
        return ""
    with os.fdopen(file, encoding="utf-8", errors="surrogateescape") as opened:
        return opened.read()
