"""Fields of Directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine import files
from engine.api.arguments import check_name, ids_in, look
from engine.api.values import Stat, entry_exists, entry_stat
from engine.calls import field
from engine.errors import EngineError
from engine.exports import export_directory
from engine.lazy import Lazy
from engine.model import Container, Directory, File, Secret, Socket
from engine.patterns import Glob
from engine.root import Root, clean, missing
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot
from engine.tree import Attributes, tree_digest

if TYPE_CHECKING:
    from engine.session import Session


def inside(directory: Directory, path: str) -> str:
    """`path`, relative to a directory, as a path of its snapshot."""
    return clean(f"{directory.path}/{clean(path)}")


def _changed(directory: Directory, snapshot: Lazy[Snapshot]) -> Directory:
    return replace(directory, snapshot=snapshot)


@field("Query", "directory")
async def empty(session: Session, _: None) -> Directory:
    """An empty directory."""
    return Directory(Lazy.of(EMPTY))


@field("Directory", "sync")
async def sync(session: Session, directory: Directory) -> None:
    """Work the directory out; a missing path fails here."""
    await look(session, directory.snapshot, lambda root: _check(root, directory))


def _check(root: Root, directory: Directory) -> None:
    name = directory.shown or directory.path.lstrip("/") or "/"
    files.check_directory(root, directory.path, name)


@field("Directory", "directory")
async def directory(session: Session, parent: Directory, path: str) -> Directory:
    """A directory below this one."""
    where = inside(parent, path)
    shown = parent.shown if where == parent.path else path
    return Directory(parent.snapshot, where, shown=shown)


@field("Directory", "file")
async def file(session: Session, parent: Directory, path: str) -> File:
    """A file below this directory."""
    return File(parent.snapshot, inside(parent, path), shown=path)


@field("Directory", "name")
async def name(session: Session, directory: Directory) -> str:
    """The directory's own name, with a slash behind it."""
    await sync(session, directory)
    return os.path.basename(directory.path) + "/"


@field("Directory", "entries")
async def entries(session: Session, directory: Directory, path: str | None = None) -> list[str]:
    """The names in the directory, in byte order, directories with a slash."""

    def answer(root: Root) -> list[str]:
        where = inside(directory, path or "/")
        _check(root, directory)
        if path is not None and not root.exists(where):
            raise EngineError(f"open {path}: no such file or directory")
        files.check_directory(root, where)
        fd = root.open(where, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = sorted(os.scandir(fd), key=lambda each: os.fsencode(each.name))
            return [
                each.name + ("/" if each.is_dir(follow_symlinks=False) else "") for each in found
            ]
        finally:
            os.close(fd)

    return await look(session, directory.snapshot, answer)


@field("Directory", "glob")
async def glob(session: Session, directory: Directory, pattern: str) -> list[str]:
    """The paths that match a pattern, directories with a slash."""
    matcher = Glob(pattern)

    def answer(root: Root) -> list[str]:
        _check(root, directory)
        return [
            entry.path + ("/" if entry.is_dir else "")
            for entry in root.walk(directory.path)
            if matcher.matches(entry.path)
        ]

    return await look(session, directory.snapshot, answer)


@field("Directory", "exists")
async def exists(
    session: Session,
    directory: Directory,
    path: str,
    expected_type: str | None = None,
    do_not_follow_symlinks: bool = False,
) -> bool:
    """Whether a path is there, of the expected type."""
    if not path:
        return False
    where = inside(directory, path)
    follow = not do_not_follow_symlinks
    return await look(
        session, directory.snapshot, lambda root: entry_exists(root, where, expected_type, follow)
    )


@field("Directory", "stat")
async def stat(
    session: Session, directory: Directory, path: str, do_not_follow_symlinks: bool = False
) -> Stat:
    """What is known of a path."""
    if not path:
        raise missing(path)
    where, follow = inside(directory, path), not do_not_follow_symlinks
    return await look(
        session, directory.snapshot, lambda root: entry_stat(root, where, follow, path)
    )


@field("Directory", "digest")
async def digest(session: Session, directory: Directory) -> str:
    """A digest of names, modes, owners and contents."""

    def answer(root: Root) -> str:
        _check(root, directory)
        return "sha256:" + tree_digest(root, directory.path)

    return await look(session, directory.snapshot, answer)


@field("Directory", "withNewFile")
async def with_new_file(
    session: Session, directory: Directory, path: str, contents: str, permissions: int = 0o644
) -> Directory:
    """The directory with a new file."""
    check_name(path)
    where = inside(directory, path)
    made = files.with_new_file(
        session.snapshots, directory.snapshot, where, contents, mode=permissions or 0o644
    )
    return _changed(directory, made)


@field("Directory", "withNewDirectory")
async def with_new_directory(
    session: Session, directory: Directory, path: str, permissions: int = 0o644
) -> Directory:
    """The directory with a new directory."""
    if os.path.normpath(path).startswith("../"):
        raise EngineError(f"cannot create directory outside parent: {os.path.normpath(path)}")
    where, mode = inside(directory, path), permissions or 0o755
    made = files.with_new_directory(session.snapshots, directory.snapshot, where, mode=mode)
    return _changed(directory, made)


@field("Directory", "withDirectory")
async def with_directory(
    session: Session,
    directory: Directory,
    path: str,
    source: Directory,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    gitignore: bool = False,
    owner: str = "",
    permissions: int | None = None,
) -> Directory:
    """The directory with another one copied into it."""
    what = files.What(
        selection=Selection(tuple(include or ()), tuple(exclude or ()), gitignore),
        how=Attributes(owner=await ids_in(session, directory.snapshot, owner), mode=permissions),
    )
    made = files.with_directory(
        session.snapshots, directory.snapshot, inside(directory, path), source, what
    )
    return _changed(directory, made)


@field("Directory", "filter")
async def filter_(
    session: Session,
    directory: Directory,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    gitignore: bool = False,
) -> Directory:
    """The directory with only what the patterns leave."""
    what = files.What(selection=Selection(tuple(include or ()), tuple(exclude or ()), gitignore))
    made = files.with_directory(session.snapshots, Lazy.of(EMPTY), "/", directory, what)
    return Directory(made)


@field("Directory", "withFile")
async def with_file(
    session: Session,
    directory: Directory,
    path: str,
    source: File,
    permissions: int | None = None,
    owner: str = "",
) -> Directory:
    """The directory with a copy of a file."""
    how = Attributes(owner=await ids_in(session, directory.snapshot, owner), mode=permissions)
    where = inside(directory, path) + ("/" if path.endswith("/") else "")
    made = files.with_file(session.snapshots, directory.snapshot, where, source, how)
    return _changed(directory, made)


@field("Directory", "withFiles")
async def with_files(
    session: Session,
    directory: Directory,
    path: str,
    sources: Sequence[File],
    permissions: int | None = None,
) -> Directory:
    """The directory with copies of files, each under its own name."""
    for source in sources:
        directory = await with_file(session, directory, f"{path}/", source, permissions)
    return directory


@field("Directory", "withSymlink")
async def with_symlink(
    session: Session, directory: Directory, target: str, link_name: str
) -> Directory:
    """The directory with a symbolic link."""
    where = inside(directory, link_name)
    made = files.with_symlink(session.snapshots, directory.snapshot, target, where)
    return _changed(directory, made)


@field("Directory", "withTimestamps")
async def with_timestamps(session: Session, directory: Directory, timestamp: int) -> Directory:
    """The directory with everything of one modification time."""
    made = files.with_timestamps(session.snapshots, directory.snapshot, directory.path, timestamp)
    return _changed(directory, made)


@field("Directory", "chown")
async def chown(session: Session, directory: Directory, path: str, owner: str) -> Directory:
    """The directory with another owner for a path and all below it."""
    ids = await ids_in(session, directory.snapshot, owner)
    if ids is None:
        return directory
    made = files.chowned(session.snapshots, directory.snapshot, inside(directory, path), ids)
    return _changed(directory, made)


@field("Directory", "withoutFile", "withoutFiles", "withoutDirectory")
async def without(
    session: Session, directory: Directory, path: str | None = None, paths: Sequence[str] = ()
) -> Directory:
    """The directory without some paths, files and directories alike."""
    where = [inside(directory, each) for each in (paths if path is None else [path])]
    return _changed(directory, files.without(session.snapshots, directory.snapshot, where))


@field("Directory", "withError")
async def with_error(session: Session, directory: Directory, err: str) -> Directory:
    """A directory that fails when it is used."""
    if not err:
        return directory

    async def fail() -> Snapshot:
        raise EngineError(err)

    return replace(directory, snapshot=Lazy(fail))


@field("Directory", "export")
async def export(session: Session, directory: Directory, path: str, wipe: bool = False) -> str:
    """Write the directory into a folder of the client's machine; the folder's path."""
    target = session.host_path(path)

    def write(root: Root) -> None:
        _check(root, directory)
        export_directory(root, directory.path, target, wipe=wipe)

    await look(session, directory.snapshot, write)
    return str(target)


@field("Directory", "findUp")
async def find_up(session: Session, directory: Directory, name: str, start: str) -> str | None:
    """The nearest path of that name in `start` or above it."""

    if not name:
        raise EngineError("name cannot be empty")

    def answer(root: Root) -> str | None:
        at = clean(start)
        while True:
            if root.exists(inside(directory, f"{at}/{name}"), follow=False):
                return clean(f"{at}/{name}").lstrip("/")
            if at == "/":
                return None
            at = os.path.dirname(at)

    return await look(session, directory.snapshot, answer)


@field("Directory", "dockerBuild")
async def docker_build(
    session: Session,
    directory: Directory,
    dockerfile: str = "Dockerfile",
    platform: str | None = None,
    build_args: Sequence[dict[str, Any]] = (),
    target: str = "",
    secrets: Sequence[Secret] = (),
    no_init: bool = False,
    ssh: Socket | None = None,
) -> Container:
    """The image that a Dockerfile in the directory describes."""
    # Imported late: half a program's start, for what most programs do not use.
    from engine.dockerfile.build import Build
    from engine.dockerfile.inputs import Context

    build = Build(
        session,
        Context(directory, {}),
        platform=platform or session.platform,
        arguments={each["name"]: each["value"] for each in build_args or ()},
        secrets={secret.name: secret for secret in secrets or ()},
        ssh=ssh,
        init=not no_init,
    )
    return await build.container(dockerfile, target)
