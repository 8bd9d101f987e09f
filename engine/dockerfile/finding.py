"""The files that the sources of COPY and ADD name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.patterns import PatternList, has_wildcards, split_at_wildcards
from engine.root import Root, clean


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a directory of which `include` says what is meant (all, if it is empty)."""

    path: str
    is_dir: bool
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """A search for files in the directory `folder`; `excludes` are left out."""

    root: Root
    folder: str
    excludes: tuple[str, ...]

    def all(self, path: str) -> Iterator[Found]:
        """What a source names: one path, or whatever its wildcards match, which may be nothing."""
        if not has_wildcards(path):
            where = self._inside(path)
            yield Found(where, self._is_dir(where, path))
            return
        leaves_out = PatternList(self.excludes)
        for name in self._matches(path):
            if leaves_out.matches(os.path.basename(name)):
                continue
            where = self._inside(name)
            try:
                yield Found(where, self._is_dir(where, name))
            except DockerfileError:
                pass  # a link that leads nowhere

    def parents(self, path: str) -> Iterator[Found]:
        """The same with the directories above it, or above the part behind `/./`."""
        pivot, found, pattern = path.partition("/./")
        if not found:
            pivot, pattern = "/", path
        pattern = clean(pattern).lstrip("/")
        if not has_wildcards(path):
            self._is_dir(self._inside(f"{pivot}/{pattern}"), f"{pivot}/{pattern}")
        for folder in self.all(pivot):
            if folder.is_dir:
                yield Found(folder.path, True, (pattern,) if pattern else ())

    def _inside(self, path: str) -> str:
        return clean(f"{self.folder}/{clean(path)}")

    def _is_dir(self, where: str, shown: str) -> bool:
        try:
            return stat.S_ISDIR(self.root.stat(where).st_mode)
        except OSError:
            raise DockerfileError(
                "failed to compute cache key: failed to calculate checksum of ref: "
                f"{quoted(clean(shown))}: not found"
            ) from None

    def _matches(self, path: str) -> list[str]:
        """The paths that a pattern matches; a link on the way to it is followed."""
        start, glob = split_at_wildcards(path)
        try:
            entries = self.root.walk(self._inside(start))
            return [f"/{start}/{e.path}" for e in entries if glob.matches(e.path)]
        except OSError:
            return []


def is_directory(root: Root, path: str) -> bool:
    """Whether `path` leads to a directory."""
    try:
        return stat.S_ISDIR(root.stat(path).st_mode)
    except OSError:
        return False


def obstacle(root: Root, path: str, *, inclusive: bool) -> str:
    """What stands where `path` needs a directory above it, or itself one; "" if nothing does."""
    folder = clean(path) if inclusive else os.path.dirname(clean(path))
    while not root.exists(folder):
        folder = os.path.dirname(folder)
    return "" if is_directory(root, folder) else folder
