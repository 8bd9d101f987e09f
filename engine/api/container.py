"""Fields of Container that make another container: files, configuration, mounts, commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from engine import files
from engine.api.arguments import expanded, owner_ids
from engine.calls import field
from engine.dockerfile.durations import parse_duration
from engine.errors import EngineError
from engine.execution import Exec
from engine.execution import with_exec as run_exec
from engine.lazy import Lazy
from engine.model import (
    CacheVolume,
    Container,
    Directory,
    File,
    Healthcheck,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedSocket,
    MountedTemp,
    Port,
    Secret,
    Service,
    Socket,
)
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot
from engine.tree import Attributes

if TYPE_CHECKING:
    from engine.session import Session

Change: TypeAlias = Callable[[Lazy[Snapshot], str], Lazy[Snapshot]]
"""A change to a tree of files at a path of it."""

_PLATFORM = re.compile(r"[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9.]+)?)?")


@field("Query", "container")
async def container(session: Session, _: None, platform: str | None = None) -> Container:
    """An empty container."""
    if platform is not None and not _PLATFORM.fullmatch(platform):
        raise EngineError(f'"{platform}": cannot parse platform specifier: invalid argument')
    return Container(platform=platform or session.platform)


@field("Container", "from")
async def from_(
    session: Session, parent: Container, address: str, registry_service: Service | None = None
) -> Container:
    """The container with the files and the configuration of an image."""
    return await session.images.pull(parent, address)


@field("Container", "withRootfs")
async def with_rootfs(session: Session, parent: Container, directory: Directory) -> Container:
    """The container with other files."""
    if directory.path == "/":
        return replace(parent, rootfs=directory.snapshot)
    made = files.with_directory(session.snapshots, Lazy.of(EMPTY), "/", directory, files.What())
    return replace(parent, rootfs=made)


def _put(parent: Container, path: str, change: Change) -> Container:
    """The container with `change` made to the tree, root or mount, that holds `path`."""
    path = parent.absolute(path) + ("/" if path.endswith("/") and path != "/" else "")
    found = parent.mount_at(path.rstrip("/") or "/")
    if found is None:
        return replace(parent, rootfs=change(parent.rootfs, path))
    mount, _ = found
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

    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.with_new_file(
            session.snapshots, below, where, contents, mode=permissions, owner=ids
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

    return _put(parent, expanded(parent, path, expand), change)


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


@field("Container", "withoutFile", "withoutFiles")
async def without_files(
    session: Session,
    parent: Container,
    path: str = "",
    paths: Sequence[str] = (),
    expand: bool = False,
) -> Container:
    """The container without some files."""
    return _without(session, parent, [path] if path else paths, expand, directories=False)


@field("Container", "withoutDirectory")
async def without_directory(
    session: Session, parent: Container, path: str, expand: bool = False
) -> Container:
    """The container without a directory."""
    return _without(session, parent, [path], expand, directories=True)


def _without(
    session: Session, parent: Container, paths: Sequence[str], expand: bool, *, directories: bool
) -> Container:
    def change(below: Lazy[Snapshot], where: str) -> Lazy[Snapshot]:
        return files.without(session.snapshots, below, [where], directories=directories)

    for path in paths:
        parent = _put(parent, expanded(parent, path, expand), change)
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
    experimental_privileged_nesting: bool = False,
    insecure_root_capabilities: bool = False,
    expand: bool = False,
    no_init: bool = False,
) -> Container:
    """The container after a command."""
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


def _with_pair(
    pairs: tuple[tuple[str, str], ...], name: str, value: str
) -> tuple[tuple[str, str], ...]:
    """The pairs with one set: in its old place if there was one of that name."""
    if any(n == name for n, _ in pairs):
        return tuple((n, value if n == name else v) for n, v in pairs)
    return (*pairs, (name, value))


def _without_pair(pairs: tuple[tuple[str, str], ...], name: str) -> tuple[tuple[str, str], ...]:
    return tuple((n, v) for n, v in pairs if n != name)


def with_variable(parent: Container, name: str, value: str) -> Container:
    """The container with an environment variable, which takes a secret's place."""
    secrets = tuple((n, s) for n, s in parent.secrets if n != name)
    return replace(parent, env=_with_pair(parent.env, name, value), secrets=secrets)


@field("Container", "withEnvVariable")
async def with_env_variable(
    session: Session, parent: Container, name: str, value: str, expand: bool = False
) -> Container:
    """The container with an environment variable."""
    return with_variable(parent, name, expanded(parent, value, expand))


@field("Container", "withoutEnvVariable")
async def without_env_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without an environment variable."""
    return replace(parent, env=_without_pair(parent.env, name))


@field("Container", "withVolatileVariable")
async def with_volatile_variable(
    session: Session, parent: Container, name: str, value: str
) -> Container:
    """The container with a variable that is in no key: a new value runs nothing again."""
    return replace(parent, volatile=_with_pair(parent.volatile, name, value))


@field("Container", "withoutVolatileVariable")
async def without_volatile_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without a volatile variable."""
    return replace(parent, volatile=_without_pair(parent.volatile, name))


@field("Container", "withSecretVariable")
async def with_secret_variable(
    session: Session, parent: Container, name: str, secret: Secret
) -> Container:
    """The container with a secret as an environment variable."""
    others = tuple((n, s) for n, s in parent.secrets if n != name)
    env = _without_pair(parent.env, name)
    return replace(parent, secrets=(*others, (name, secret)), env=env)


@field("Container", "withoutSecretVariable")
async def without_secret_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without a secret variable."""
    return replace(parent, secrets=tuple((n, s) for n, s in parent.secrets if n != name))


@field("Container", "withLabel")
async def with_label(session: Session, parent: Container, name: str, value: str) -> Container:
    """The container with a label."""
    return replace(parent, labels=_with_pair(parent.labels, name, value))


@field("Container", "withoutLabel")
async def without_label(session: Session, parent: Container, name: str) -> Container:
    """The container without a label."""
    return replace(parent, labels=_without_pair(parent.labels, name))


@field("Container", "withAnnotation")
async def with_annotation(session: Session, parent: Container, name: str, value: str) -> Container:
    """The container with an annotation of its image's manifest."""
    return replace(parent, annotations=_with_pair(parent.annotations, name, value))


@field("Container", "withoutAnnotation")
async def without_annotation(session: Session, parent: Container, name: str) -> Container:
    """The container without an annotation."""
    return replace(parent, annotations=_without_pair(parent.annotations, name))


@field("Container", "withWorkdir")
async def with_workdir(
    session: Session, parent: Container, path: str, expand: bool = False
) -> Container:
    """The container with a working directory, relative to the one before."""
    return replace(parent, workdir=parent.absolute(expanded(parent, path, expand)))


@field("Container", "withoutWorkdir")
async def without_workdir(session: Session, parent: Container) -> Container:
    """The container with the root as its working directory."""
    return replace(parent, workdir="")


@field("Container", "withUser")
async def with_user(session: Session, parent: Container, name: str) -> Container:
    """The container whose commands run as another user."""
    return replace(parent, user=name)


@field("Container", "withoutUser")
async def without_user(session: Session, parent: Container) -> Container:
    """The container whose commands run as root."""
    return replace(parent, user="")


@field("Container", "withEntrypoint")
async def with_entrypoint(
    session: Session, parent: Container, args: Sequence[str], keep_default_args: bool = False
) -> Container:
    """The container with an entrypoint; default arguments go unless kept."""
    kept = parent.args if keep_default_args else ()
    return replace(parent, entrypoint=tuple(args), args=kept)


@field("Container", "withoutEntrypoint")
async def without_entrypoint(
    session: Session, parent: Container, keep_default_args: bool = False
) -> Container:
    """The container without an entrypoint."""
    return replace(parent, entrypoint=(), args=parent.args if keep_default_args else ())


@field("Container", "withDefaultArgs")
async def with_default_args(session: Session, parent: Container, args: Sequence[str]) -> Container:
    """The container with default arguments."""
    return replace(parent, args=tuple(args))


@field("Container", "withoutDefaultArgs")
async def without_default_args(session: Session, parent: Container) -> Container:
    """The container without default arguments."""
    return replace(parent, args=())


@field("Container", "withExposedPort")
async def with_exposed_port(
    session: Session,
    parent: Container,
    port: int,
    protocol: str = "TCP",
    description: str | None = None,
    experimental_skip_healthcheck: bool = False,
) -> Container:
    """The container with a port on which it listens as a service."""
    made = Port(
        port=port,
        protocol=protocol,
        description=description,
        skip_healthcheck=experimental_skip_healthcheck,
    )
    return replace(parent, ports=(*_other_ports(parent, port, protocol), made))


@field("Container", "withoutExposedPort")
async def without_exposed_port(
    session: Session, parent: Container, port: int, protocol: str = "TCP"
) -> Container:
    """The container without an exposed port."""
    return replace(parent, ports=_other_ports(parent, port, protocol))


def _other_ports(parent: Container, port: int, protocol: str) -> tuple[Port, ...]:
    return tuple(p for p in parent.ports if (p.port, p.protocol) != (port, protocol))


@field("Container", "withDockerHealthcheck")
async def with_docker_healthcheck(
    session: Session,
    parent: Container,
    args: Sequence[str],
    shell: bool | None = None,
    interval: str | None = None,
    timeout: str | None = None,
    start_period: str | None = None,
    start_interval: str | None = None,
    retries: int | None = None,
) -> Container:
    """The container with a health check in its image's configuration."""
    check = Healthcheck(
        args=tuple(args),
        shell=bool(shell),
        interval=parse_duration(interval or "0s"),
        timeout=parse_duration(timeout or "0s"),
        start_period=parse_duration(start_period or "0s"),
        start_interval=parse_duration(start_interval or "0s"),
        retries=retries or 0,
    )
    return replace(parent, healthcheck=check)


@field("Container", "withoutDockerHealthcheck")
async def without_docker_healthcheck(session: Session, parent: Container) -> Container:
    """The container without a health check."""
    return replace(parent, healthcheck=None)


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
    ids = await owner_ids(session, parent, owner)
    if ids is not None:
        owned = files.chowned(session.snapshots, source.snapshot, source.path, ids)
        source = replace(source, snapshot=owned)
    target = parent.absolute(expanded(parent, path, expand))
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
    ids = await owner_ids(session, parent, owner)
    if ids is not None:
        owned = files.chowned(session.snapshots, source.snapshot, source.path, ids)
        source = replace(source, snapshot=owned)
    target = parent.absolute(expanded(parent, path, expand))
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
    """The container with a cache volume mounted."""
    target = parent.absolute(expanded(parent, path, expand))
    mount = MountedCache(
        target=target, volume=cache, sharing=sharing, owner=owner, source=source or cache.source
    )
    return parent.with_mount(mount)


@field("Container", "withMountedTemp")
async def with_mounted_temp(
    session: Session, parent: Container, path: str, size: int | None = None, expand: bool = False
) -> Container:
    """The container with a tmpfs mounted, empty for each command."""
    target = parent.absolute(expanded(parent, path, expand))
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
    target = parent.absolute(expanded(parent, path, expand))
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
    target = parent.absolute(expanded(parent, path, expand))
    return parent.with_mount(MountedSocket(target=target, socket=source, owner=owner))


@field("Container", "withoutMount", "withoutUnixSocket")
async def without_mount(
    session: Session, parent: Container, path: str, expand: bool = False
) -> Container:
    """The container without what is mounted at a path."""
    target = parent.absolute(expanded(parent, path, expand))
    return replace(parent, mounts=tuple(m for m in parent.mounts if m.target != target))


@field("Container", "withServiceBinding")
async def with_service_binding(
    session: Session, parent: Container, alias: str, service: Service
) -> Container:
    """The container whose commands reach a service under a name."""
    others = tuple((a, s) for a, s in parent.services if a != alias)
    return replace(parent, services=(*others, (alias, service)))


@field("Container", "withRegistryAuth")
async def with_registry_auth(
    session: Session, parent: Container, address: str, username: str, secret: Secret
) -> Container:
    """The container that pulls from and publishes to a registry with these credentials."""
    others = tuple(auth for auth in parent.registry_auth if auth[0] != address)
    return replace(parent, registry_auth=(*others, (address, username, secret)))


@field("Container", "withoutRegistryAuth")
async def without_registry_auth(session: Session, parent: Container, address: str) -> Container:
    """The container without credentials for a registry."""
    others = tuple(auth for auth in parent.registry_auth if auth[0] != address)
    return replace(parent, registry_auth=others)


@field("Container", "withDefaultTerminalCmd")
async def with_default_terminal_cmd(
    session: Session,
    parent: Container,
    args: Sequence[str],
    experimental_privileged_nesting: bool = False,
    insecure_root_capabilities: bool = False,
) -> Container:
    """The container whose terminal runs another program."""
    return replace(parent, terminal_args=tuple(args))
