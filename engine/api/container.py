"""Fields of Container that make another container by an image, files or a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from engine import files
from engine.api.arguments import check_name, expanded, owner_ids
from engine.calls import field
from engine.command import Exec
from engine.errors import EngineError
from engine.execution import with_exec as run_exec
from engine.lazy import Lazy
from engine.model import (
    Container,
    Directory,
    File,
    MountedDirectory,
    MountedFile,
)
from engine.oci.platform import parse_platform
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot
from engine.tree import Attributes

if TYPE_CHECKING:
    from engine.session import Session

Change: TypeAlias = Callable[[Lazy[Snapshot], str], Lazy[Snapshot]]
"""A change to a tree of files at a path of it."""


@field("Query", "container")
async def container(session: Session, _: None, platform: str | None = None) -> Container:
    """An empty container."""
    if platform is None:
        return Container(platform=session.platform)
    return Container(platform=parse_platform(platform, session.platform))


@field("Container", "from")
async def from_(session: Session, parent: Container, address: str) -> Container:
    """The container with the files and the configuration of an image."""
    return await session.images.pull(parent, address)


@field("Container", "withRootfs")
async def with_rootfs(session: Session, parent: Container, directory: Directory) -> Container:
    """The container with other files."""
    if directory.path == "/":
        return replace(parent, rootfs=directory.snapshot)
    made = files.with_directory(session.snapshots, Lazy.of(EMPTY), "/", directory, files.What())
    return replace(parent, rootfs=made)


def _put(parent: Container, path: str, change: Change, *, directory: bool = False) -> Container:
    """The container with `change` made to the tree, root or mount, that holds `path`.

    What is mounted exactly there goes, but for a directory into which another `directory` is put.
    """
    path = parent.absolute(path) + ("/" if path.endswith("/") and path != "/" else "")
    target = path.rstrip("/") or "/"
    found = parent.mount_at(target)
    if found is None:
        return replace(parent, rootfs=change(parent.rootfs, path))
    mount, _ = found
    goes = isinstance(mount, (MountedFile, *(() if directory else (MountedDirectory,))))
    if goes and mount.target == target:
        mounts = tuple(m for m in parent.mounts if m is not mount)
        return _put(replace(parent, mounts=mounts), path, change, directory=directory)
    snapshot, inside = parent.place(path)
    if isinstance(mount, MountedDirectory):
        source = replace(mount.source, snapshot=change(snapshot, inside))
        changed: MountedDirectory | MountedFile = replace(mount, source=source)
    else:
        assert isinstance(mount, MountedFile)
        file = replace(mount.source, snapshot=change(snapshot, inside))
        changed = replace(mount, source=file)
    mounts = tuple(changed if m is mount else m for m in parent.mounts)
    return replace(parent, mounts=mounts)


@field("Container", "withNewFile")
async def with_new_file(
    session: Session,
    parent: Container,
    path: str,
    contents: str,
    permissions: int = 0o644,
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with a new file."""
    ids = await owner_ids(session, parent, owner) or (0, 0)
    mode = permissions or 0o644
    check_name(path)

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.with_placed_file(
            session.snapshots, below, where, contents, mode=mode, owner=ids
        )

    return _put(parent, expanded(parent, path, expand), change)


@field("Container", "withDirectory")
async def with_directory(
    session: Session,
    parent: Container,
    path: str,
    source: Directory,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    gitignore: bool = False,
    owner: str = "",
    expand: bool = False,
    permissions: int | None = None,
) -> Container:
    """The container with a directory copied into it."""
    what = files.What(
        selection=Selection(tuple(include or ()), tuple(exclude or ()), gitignore),
        how=Attributes(owner=await owner_ids(session, parent, owner), mode=permissions),
    )

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.with_directory(session.snapshots, below, where, source, what)

    return _put(parent, expanded(parent, path, expand), change, directory=True)


@field("Container", "withFile")
async def with_file(
    session: Session,
    parent: Container,
    path: str,
    source: File,
    permissions: int | None = None,
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with a copy of a file."""
    how = Attributes(owner=await owner_ids(session, parent, owner), mode=permissions)

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.with_file(session.snapshots, below, where, source, how)

    return _put(parent, expanded(parent, path, expand), change)


@field("Container", "withFiles")
async def with_files(
    session: Session,
    parent: Container,
    path: str,
    sources: Sequence[File],
    permissions: int | None = None,
    owner: str = "",
    expand: bool = False,
) -> Container:
    """The container with copies of files, each under its own name."""
    for source in sources:
        parent = await with_file(session, parent, f"{path}/", source, permissions, owner, expand)
    return parent


@field("Container", "withSymlink")
async def with_symlink(
    session: Session, parent: Container, target: str, link_name: str, expand: bool = False
) -> Container:
    """The container with a symbolic link."""
    pointed = expanded(parent, target, expand)

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.with_symlink(session.snapshots, below, pointed, where)

    return _put(parent, expanded(parent, link_name, expand), change)


@field("Container", "withoutFile", "withoutFiles", "withoutDirectory")
async def without(
    session: Session,
    parent: Container,
    path: str | None = None,
    paths: Sequence[str] = (),
    expand: bool = False,
) -> Container:
    """The container without some paths, files and directories alike."""

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.without(session.snapshots, below, [where])

    for each in paths if path is None else [path]:
        parent = _put(parent, expanded(parent, each, expand), change)
    return parent


@field("Container", "withExec")
async def with_exec(
    session: Session,
    parent: Container,
    args: Sequence[str],
    use_entrypoint: bool = False,
    stdin: str = "",
    redirect_stdin: str = "",
    redirect_stdout: str = "",
    redirect_stderr: str = "",
    expect: str = "SUCCESS",
    insecure_root_capabilities: bool = False,
    expand: bool = False,
    no_init: bool = False,
) -> Container:
    """The container after a command."""
    if stdin and redirect_stdin:
        raise EngineError("cannot set both stdin and redirectStdin")
    command = Exec(
        args=command_of(parent, args, use_entrypoint=use_entrypoint, expand=expand),
        stdin=stdin,
        redirect_stdin=expanded(parent, redirect_stdin, expand),
        redirect_stdout=expanded(parent, redirect_stdout, expand),
        redirect_stderr=expanded(parent, redirect_stderr, expand),
        expect=expect,
        privileged=insecure_root_capabilities,
        init=not no_init,
    )
    return run_exec(session, parent, command)


def command_of(
    parent: Container, args: Sequence[str], *, use_entrypoint: bool, expand: bool
) -> tuple[str, ...]:
    """The whole command: default arguments where none are given, the entrypoint if wanted."""
    given = [expanded(parent, arg, expand) for arg in args]
    whole = [*(parent.entrypoint if use_entrypoint else ()), *(given or parent.args)]
    if not whole:
        raise EngineError("no command has been set: give args or default args")
    return tuple(whole)


@field("Container", "withError")
async def with_error(session: Session, parent: Container, err: str) -> Container:
    """A container that fails when it is used."""
    if err:
        raise EngineError(err)
    return parent
