"""COPY and ADD: which files go where, with which owner and mode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine import files, permissions
from engine.dockerfile import archives, finding, remotes
from engine.dockerfile.checkout import cloned
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.expand import expand_heredoc
from engine.dockerfile.finding import Found
from engine.dockerfile.inputs import Inputs
from engine.dockerfile.instructions import Add, Copy, Heredoc
from engine.dockerfile.owners import find_owner
from engine.dockerfile.sources import Sources
from engine.dockerfile.state import State
from engine.lazy import Lazy, both
from engine.model import Container, Directory, File
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot
from engine.tree import Attributes

_OCTAL = re.compile(r"[0-7]+")
_HIGHEST_MODE = 0o7777


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A COPY or ADD line with its words expanded.

    `unpack`: whether archives are unpacked; None where the flag was not given.
    """

    paths: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    repositories: tuple[remotes.Repository, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    destination: str
    owner: str = ""
    mode: int | str | None = None
    excludes: tuple[str, ...] = ()
    parents: bool = False
    adds: bool = False
    unpack: bool | None = None
    checksum: str = ""


def after(
    inputs: Inputs, sources: Sources, state: State, line: Copy | Add, place: Place
) -> Container:
    """The container with the files that the line brings in. Raises DockerfileError.

    `--link` changes how real engines cache, and nothing in an ordinary result.
    """
    from_ = line.from_ if isinstance(line, Copy) else ""
    source = sources[from_]
    if from_:
        state.takes_from(source.container)
    request = _expanded(state, line)
    work = _Work(inputs, state.container, source.directory, request, place)
    return replace(state.container, rootfs=Lazy(work.rootfs))


def _expanded(state: State, line: Copy | Add) -> Transfer:
    words = tuple(state.word(word) for word in line.sources)
    adds = isinstance(line, Add)
    checksum = state.word(line.checksum) if isinstance(line, Add) else ""
    repositories = {w: r for w in words if (r := remotes.repository(w)) is not None}
    urls = tuple(w for w in words if remotes.is_url(w) and w not in repositories)
    if repositories and not adds:
        raise DockerfileError("source can't be a git ref for COPY")
    if urls and not adds:
        raise DockerfileError("source can't be a URL for COPY")
    if checksum and len(words) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if checksum and not urls and not repositories:
        raise DockerfileError("checksum requires HTTP(S) or Git sources")
    if urls:
        remotes.check_digest(checksum)
    keep = line.keep_git_dir if isinstance(line, Add) else None
    return Transfer(
        paths=tuple(w for w in words if w not in repositories and w not in urls),
        urls=urls,
        repositories=tuple(r.asked(keep, checksum) for r in repositories.values()),
        heredocs=tuple(_document(state, document) for document in line.heredocs),
        destination=_destination(state, line.destination),
        owner=state.word(line.chown),
        mode=_mode(state.word(line.chmod)),
        excludes=tuple(state.word(exclude) for exclude in line.excludes),
        parents=isinstance(line, Copy) and line.parents,
        adds=adds,
        unpack=line.unpack if isinstance(line, Add) else None,
        checksum=checksum,
    )


def _document(state: State, document: Heredoc) -> Heredoc:
    if not document.expand:
        return document
    return replace(document, content=expand_heredoc(document.content, state.variables))


def _destination(state: State, text: str) -> str:
    """The absolute path; a slash at its end says that it is a directory."""
    word = state.word(text)
    slash = "/" if word in ("", ".") or word.endswith(("/", "/.")) else ""
    path = state.container.absolute(word)
    return path if path == "/" else path + slash


def _mode(text: str) -> int | str | None:
    if not text:
        return None
    if _OCTAL.fullmatch(text) and int(text, 8) <= _HIGHEST_MODE:
        return int(text, 8)
    if text[0].isdigit() or not permissions.valid(text):
        raise DockerfileError(
            f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and "
            "07777, or symbolic as in u=rwX,go=rX"
        )
    return text


@dataclass(frozen=True, slots=True)
class _Work:
    """A line and what it works on."""

    inputs: Inputs
    below: Container
    source: Directory
    line: Transfer
    place: Place

    async def rootfs(self) -> Snapshot:
        """The container's files after the line."""
        # Side by side: the files may come from a stage of their own.
        base, origin = await both(self.below.rootfs.get(), self._origin())
        with self.place.blamed():
            owner = await asyncio.to_thread(self._owner, base)
            found = await asyncio.to_thread(self._found, origin)
            how = Attributes(owner=owner, mode=self.line.mode, owned_way=owner is not None)
            await asyncio.to_thread(self._check_destination, base, found)
            made = Lazy.of(base)
            for each in found:
                made = self._copied(made, each, how)
            for file in self._brought():
                made = self._with_file(made, file, how)
            for repository in self.line.repositories:
                made = self._with_repository(made, repository, how)
            return await made.get()

    async def _origin(self) -> Snapshot:
        return await self.source.snapshot.get() if self.line.paths else EMPTY

    def _owner(self, base: Snapshot) -> tuple[int, int] | None:
        text = self.line.owner
        if not text:
            return None
        with self.inputs.session.snapshots.view(base) as root:
            return find_owner(root, text)

    def _found(self, origin: Snapshot) -> list[Found]:
        with self.inputs.session.snapshots.view(origin) as root:
            search = finding.Search(root, self.source.path, self.line.excludes)
            found = search.parents if self.line.parents else search.all
            return [each for path in self.line.paths for each in found(path)]

    def _check_destination(self, base: Snapshot, found: Sequence[Found]) -> None:
        """What is copied needs directories to go to, and several files need one of their own."""
        line = self.line
        several = sum(not each.is_dir for each in found) + len(line.heredocs) + len(line.urls)
        into = line.destination.endswith("/") or any(each.is_dir for each in found)
        with self.inputs.session.snapshots.view(base) as root:
            obstacle = finding.obstacle(root, line.destination, inclusive=into)
            directory = into or finding.is_directory(root, line.destination)
        if obstacle:
            raise DockerfileError(f"cannot copy to {line.destination}: {obstacle} is no directory")
        if several > 1 and not directory:
            raise DockerfileError(
                "When using COPY with more than one source file, the destination "
                f'must be a directory and end with a /: "{line.destination}"'
            )

    def _copied(self, below: Lazy[Snapshot], found: Found, how: Attributes) -> Lazy[Snapshot]:
        snapshots = self.inputs.session.snapshots
        if not found.is_dir:
            unpack = self.line.adds and self.line.unpack is not False
            return self._with_file(
                below, File(self.source.snapshot, found.path), how, unpack=unpack
            )
        selection = Selection(include=found.include, exclude=self.line.excludes)
        what = files.What(selection=selection, how=how)
        directory = Directory(self.source.snapshot, found.path)
        return files.with_directory(snapshots, below, self.line.destination, directory, what)

    def _with_file(
        self, below: Lazy[Snapshot], file: File, how: Attributes, *, unpack: bool | None = None
    ) -> Lazy[Snapshot]:
        snapshots = self.inputs.session.snapshots
        if self.line.unpack if unpack is None else unpack:
            return archives.added(snapshots, below, self.line.destination, file, how)
        return files.with_file(snapshots, below, self.line.destination, file, how)

    def _brought(self) -> Iterator[File]:
        """The files that come from elsewhere: from servers, and out of the line itself."""
        for url in self.line.urls:
            yield remotes.downloaded(self.inputs, url, self.line.checksum)
        for document in self.line.heredocs:
            path = f"/{document.name}"
            snapshots = self.inputs.session.snapshots
            yield File(files.with_new_file(snapshots, Lazy.of(EMPTY), path, document.content), path)

    def _with_repository(
        self, below: Lazy[Snapshot], repository: remotes.Repository, how: Attributes
    ) -> Lazy[Snapshot]:
        directory = cloned(self.inputs.session, repository)
        what = files.What(selection=Selection(exclude=self.line.excludes), how=how)
        return files.with_directory(
            self.inputs.session.snapshots, below, self.line.destination, directory, what
        )
