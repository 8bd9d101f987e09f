"""Fields of Container for what is mounted in it and bound to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from engine import files
from engine.api.arguments import absolute, check_host_name, owner_ids, written_ids
from engine.calls import field
from engine.model import (
    CacheVolume,
    Container,
    Directory,
    File,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedSocket,
    MountedTemp,
    Secret,
    Service,
    Socket,
)

if TYPE_CHECKING:
    from engine.session import Session

Files = TypeVar("Files", Directory, File)


def _owned(session: Session, source: Files, ids: tuple[int, int] | None) -> Files:
    """What is mounted as the owner's, if there is one."""
    if ids is None:
        return source
    owned = files.chowned(session.snapshots, source.snapshot, source.path, ids)
    return replace(source, snapshot=owned)


@field("Container", "withMountedDirectory")
async def with_mounted_directory(
    session: Session,
    parent: Container,
    path: str,
    source: Directory,
    owner: str = "",
    read_only: bool = False,
    expand: bool = False,
) -> Container:
    """The container with a directory mounted; what commands write there goes on with it."""
    source = _owned(session, source, await owner_ids(session, parent, owner))
    target = absolute(parent, path, expand)
    return parent.with_mount(MountedDirectory(target=target, source=source, read_only=read_only))


@field("Container", "withMountedFile")
async def with_mounted_file(
    session: Session,
    parent: Container,
    path: str,
    source: File,
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with a file mounted."""
    source = _owned(session, source, await owner_ids(session, parent, owner))
    target = absolute(parent, path, expand)
    return parent.with_mount(MountedFile(target=target, source=source))


@field("Container", "withMountedCache")
async def with_mounted_cache(
    session: Session,
    parent: Container,
    path: str,
    cache: CacheVolume,
    source: Directory | None = None,
    sharing: str = "SHARED",
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with a cache volume mounted; another source or owner is another volume."""
    ids = await owner_ids(session, parent, owner or cache.owner)
    source = source or cache.source
    if source is not None:
        source = _owned(session, source, ids)
    name = written_ids(ids)
    mount = MountedCache(
        target=absolute(parent, path, expand),
        volume=CacheVolume(f"{cache.key} of {name}") if name else cache,
        sharing=cache.sharing if sharing == "SHARED" else sharing,
        owner=name,
        source=source,
    )
    return parent.with_mount(mount)


@field("Container", "withMountedTemp")
async def with_mounted_temp(
    session: Session, parent: Container, path: str, size: int | None = None, expand: bool = False
) -> Container:
    """The container with a tmpfs mounted, empty for each command."""
    target = absolute(parent, path, expand)
    return parent.with_mount(MountedTemp(target=target, size=size))


@field("Container", "withMountedSecret")
async def with_mounted_secret(
    session: Session,
    parent: Container,
    path: str,
    source: Secret,
    owner: str = "",
    mode: int = 0o400,
    expand: bool = False,
) -> Container:
    """The container with a secret as a file, in memory only."""
    target = absolute(parent, path, expand)
    return parent.with_mount(MountedSecret(target=target, secret=source, owner=owner, mode=mode))


@field("Container", "withUnixSocket")
async def with_unix_socket(
    session: Session,
    parent: Container,
    path: str,
    source: Socket,
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with a unix socket of the client's machine."""
    target = absolute(parent, path, expand)
    return parent.with_mount(MountedSocket(target=target, socket=source, owner=owner))


@field("Container", "withoutMount", "withoutUnixSocket")
async def without_mount(
    session: Session, parent: Container, path: str, expand: bool = False
) -> Container:
    """The container without what is mounted at a path."""
    target = absolute(parent, path, expand)
    return replace(parent, mounts=tuple(m for m in parent.mounts if m.target != target))


@field("Container", "withServiceBinding")
async def with_service_binding(
    session: Session, parent: Container, alias: str, service: Service
) -> Container:
    """The container whose commands reach a service under a name."""
    check_host_name(alias)
    others = tuple((a, s) for a, s in parent.services if a != alias)
    return replace(parent, services=(*others, (alias, service)))
