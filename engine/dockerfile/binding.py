"""RUN --mount=type=bind: files of the context, of a stage or of an image in the container."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.mounts import Mount
from engine.lazy import Lazy
from engine.model import Directory, File, MountedDirectory, MountedFile
from engine.root import clean
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True)
class Binding:
    """A bind mount, and where it takes files from."""

    source: Directory
    mount: Mount
    target: str


async def bound(
    session: Session, binding: Binding, snapshot: Snapshot
) -> MountedDirectory | MountedFile:
    """The mount of a file or of a directory, whichever it is in `snapshot`.

    Writable or not, what a command writes to it is not kept.
    """
    path = clean(f"{binding.source.path}/{binding.mount.source}")
    shown = quoted("/" + binding.mount.source.strip("/"))

    def is_directory() -> bool:
        with session.snapshots.view(snapshot) as root:
            try:
                return stat.S_ISDIR(root.stat(path).st_mode)
            except OSError:
                raise DockerfileError(
                    f"failed to calculate checksum of ref: {shown}: not found"
                ) from None

    read_only = binding.mount.read_only
    if await asyncio.to_thread(is_directory):
        inside = Directory(Lazy.of(snapshot), path)
        return MountedDirectory(target=binding.target, source=inside, read_only=read_only)
    file = File(Lazy.of(snapshot), path)
    return MountedFile(target=binding.target, source=file, read_only=read_only)
