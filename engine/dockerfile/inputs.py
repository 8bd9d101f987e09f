"""What a build is given beside the Dockerfile: files, arguments, secrets, a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine import files
from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Directory, Secret, Socket
from engine.patterns import read_ignore_file
from engine.root import Root
from engine.selection import Selection
from engine.snapshot import EMPTY

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True)
class Context:
    """What a build may copy from: its folder, and other folders by name."""

    directory: Directory
    named: Mapping[str, Directory]

    async def read(self, session: Session, dockerfile: str) -> tuple[str, Directory]:
        """The text of a Dockerfile of the context, and the context without what is ignored.

        An ignore file named after the Dockerfile comes before the one of the whole context.
        """
        snapshot = await self.directory.snapshot.get()
        folder = self.directory.path

        def read() -> tuple[str, tuple[str, ...]]:
            with session.snapshots.view(snapshot) as root:
                try:
                    text = root.read(f"{folder}/{dockerfile}").decode(errors="replace")
                except OSError as error:
                    why = (error.strerror or str(error)).lower()
                    raise EngineError(
                        f'failed to read Dockerfile "{dockerfile}": open /{dockerfile}: {why}'
                    ) from None
                return text, _ignored(root, folder, dockerfile)

        text, ignored = await asyncio.to_thread(read)
        return text, self._without(session, ignored)

    def _without(self, session: Session, ignored: tuple[str, ...]) -> Directory:
        if not ignored:
            return self.directory
        what = files.What(selection=Selection(exclude=ignored))
        made = files.with_directory(session.snapshots, Lazy.of(EMPTY), "/", self.directory, what)
        return Directory(made)


def _ignored(root: Root, folder: str, dockerfile: str) -> tuple[str, ...]:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            text = root.read(f"{folder}/{name}").decode(errors="replace")
        except OSError:
            continue
        return tuple(read_ignore_file(text))
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What all stages of one build share."""

    session: Session
    platform: str
    named: Mapping[str, Directory]
    context: Directory
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Socket | None = None
    init: bool = True
