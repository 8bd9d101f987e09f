"""Directory.search and File.search, and what they find."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import files
from engine.api.arguments import look
from engine.api.directory import inside
from engine.calls import field
from engine.errors import EngineError
from engine.gitignore import GitIgnore
from engine.matching import Match, Pattern, Submatch
from engine.model import Directory, File
from engine.root import Root, clean, missing

if TYPE_CHECKING:
    from engine.session import Session

# The later file decides, as its name is the more special one.
_IGNORE_FILES = (".gitignore", ".ignore", ".rgignore")
_NO_MATCH = Match(0, 0, "", ())


@dataclass(frozen=True, slots=True)
class Found:
    """A file with a match, and the match (empty when only files were asked for)."""

    path: str
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """Which files of a directory are searched."""

    globs: Sequence[str] = ()
    skip_ignored: bool = False
    skip_hidden: bool = False

    def files(self, root: Root, top: str, path: str) -> Iterator[str]:
        """The files below `path`, or `path` itself, which no filter leaves out."""
        where = f"{top}/{path}"
        try:
            status = root.stat(where)
        except OSError:
            raise missing(path) from None
        if stat.S_ISDIR(status.st_mode):
            yield from self._below(root, top, path, GitIgnore())
        else:
            yield path

    def _below(self, root: Root, top: str, folder: str, ignore: GitIgnore) -> Iterator[str]:
        if self.skip_ignored:
            for name in _IGNORE_FILES:
                ignore = ignore.including(folder, _text(root, f"{top}/{folder}/{name}"))
        fd = root.open(f"{top}/{folder}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            entries = sorted(os.scandir(fd), key=lambda entry: os.fsencode(entry.name))
            kinds = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
        finally:
            os.close(fd)
        for name, mode in kinds:
            path = f"{folder}/{name}" if folder else name
            directory = stat.S_ISDIR(mode)
            if self._left_out(name, path, directory, ignore):
                continue
            if directory:
                yield from self._below(root, top, path, ignore)
            elif stat.S_ISREG(mode):
                yield path

    def _left_out(self, name: str, path: str, directory: bool, ignore: GitIgnore) -> bool:
        if self.skip_hidden and name.startswith("."):
            return True
        if ignore.ignores(path, directory=directory):
            return True
        return not self._chosen(path, directory)

    def _chosen(self, path: str, directory: bool) -> bool:
        """Whether the globs take `path`: the last that matches decides, `!` leaves out."""
        for glob in reversed(self.globs):
            if GitIgnore().including("", glob.removeprefix("!")).ignores(path, directory=directory):
                return not glob.startswith("!")
        return directory or all(glob.startswith("!") for glob in self.globs)


def _local(path: str) -> str:
    """A path as it is below a directory. Raises EngineError for one that leads out of it."""
    place = os.path.normpath(path.removeprefix("/"))
    if place.split("/")[0] == "..":
        raise EngineError(f"path cannot escape directory: {path}")
    return clean(place).lstrip("/")


def _inside(root: Root, directory: Directory, path: str) -> str:
    """A path with its links followed, which the directory is the root of."""
    if not path:
        return path
    with Root(root.real(directory.path)) as top:
        if not top.exists(path):
            raise missing(path)
        found = os.path.relpath(top.real(path), top.path)
        return "" if found == "." else found


def _text(root: Root, path: str) -> str:
    try:
        return os.fsdecode(root.read(path))
    except OSError:
        return ""


@field("Directory", "search")
async def search_directory(
    session: Session,
    directory: Directory,
    pattern: str,
    paths: Sequence[str] = (),
    globs: Sequence[str] = (),
    literal: bool = False,
    multiline: bool = False,
    dotall: bool = False,
    insensitive: bool = False,
    skip_ignored: bool = False,
    skip_hidden: bool = False,
    files_only: bool = False,
    limit: int | None = None,
) -> list[Found]:
    """The lines, or with `files_only` the files, below the directory that match a pattern."""
    wanted = Pattern(
        text=pattern, literal=literal, multiline=multiline, dotall=dotall, insensitive=insensitive
    )
    walk = _Walk(globs=globs or (), skip_ignored=skip_ignored, skip_hidden=skip_hidden)
    wanted.compiled()
    starts = [_local(path) for path in paths or [""]]

    def shown(start: str, path: str) -> str:
        # As ripgrep has it, which is asked for "." where a path leads to the directory itself.
        return f"./{path}" if paths and not start else path

    def answer(root: Root) -> list[Found]:
        name = directory.shown or directory.path.lstrip("/") or "/"
        files.check_directory(root, directory.path, name)
        found = (
            hit
            for start in starts
            for path in walk.files(root, directory.path, _inside(root, directory, start))
            for hit in _found(
                root.read(inside(directory, path)), shown(start, path), wanted, files_only
            )
        )
        return list(itertools.islice(found, limit))

    return await look(session, directory.snapshot, answer)


def _found(data: bytes, path: str, wanted: Pattern, files_only: bool) -> Iterator[Found]:
    for match in wanted.matches(data):
        yield Found(path, _NO_MATCH if files_only else match)
        if files_only:
            return


@field("File", "search")
async def search_file(
    session: Session,
    file: File,
    pattern: str,
    literal: bool = False,
    multiline: bool = False,
    dotall: bool = False,
    insensitive: bool = False,
    files_only: bool = False,
    limit: int | None = None,
) -> list[Found]:
    """The lines of the file that match; a file that is named is filtered by nothing."""
    wanted = Pattern(
        text=pattern, literal=literal, multiline=multiline, dotall=dotall, insensitive=insensitive
    )
    wanted.compiled()

    def answer(root: Root) -> list[Found]:
        files.check_file(root, file.path, file.shown or file.path.lstrip("/"))
        name = file.name or os.path.basename(file.path)
        found = _found(root.read(file.path), name, wanted, files_only)
        return list(itertools.islice(found, limit))

    return await look(session, file.snapshot, answer)


@field("SearchResult", "filePath")
async def result_path(session: Session, found: Found) -> str:
    """The file, relative to the directory that was searched."""
    return found.path


@field("SearchResult", "lineNumber")
async def result_line(session: Session, found: Found) -> int:
    """The number of the first matched line, from 1."""
    return found.match.line


@field("SearchResult", "absoluteOffset")
async def result_offset(session: Session, found: Found) -> int:
    """Where the matched lines begin in the file, in bytes."""
    return found.match.offset


@field("SearchResult", "matchedLines")
async def result_lines(session: Session, found: Found) -> str:
    """The lines, with their line breaks."""
    return found.match.lines


@field("SearchResult", "submatches")
async def result_submatches(session: Session, found: Found) -> list[Submatch]:
    """The matches in the lines."""
    return list(found.match.submatches)


@field("SearchSubmatch", "text")
async def submatch_text(session: Session, match: Submatch) -> str:
    """What matched."""
    return match.text


@field("SearchSubmatch", "start")
async def submatch_start(session: Session, match: Submatch) -> int:
    """Where the match begins in the lines, in bytes."""
    return match.start


@field("SearchSubmatch", "end")
async def submatch_end(session: Session, match: Submatch) -> int:
    """Where the match ends in the lines, in bytes."""
    return match.end
