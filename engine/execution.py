"""Running a command in a container: its key, its mounts, and what is kept of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import linux
from engine.errors import EngineError, ExecError
from engine.executor.output import Output, text
from engine.executor.spec import Meta, Mount
from engine.lazy import Lazy, finished
from engine.model import (
    Container,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedSocket,
    MountedTemp,
    Ran,
)
from engine.network import Namespace
from engine.root import Root, clean
from engine.snapshot import Active, Snapshot
from engine.store import digest
from engine.users import UnknownUser, User, find_owner, find_user

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A command for a container and how it is run."""

    args: tuple[str, ...]
    stdin: str = ""
    redirect_stdin: str = ""
    redirect_stdout: str = ""
    redirect_stderr: str = ""
    expect: str = "SUCCESS"
    privileged: bool = False
    init: bool = True


def with_exec(session: Session, container: Container, command: Exec) -> Container:
    """The container after `command`, which runs when somebody asks for what it leaves."""
    ran: Lazy[Ran] = Lazy(lambda: _run(session, container, command))

    async def rootfs() -> Snapshot:
        return (await ran.get()).rootfs

    def after(target: str) -> Lazy[Snapshot]:
        async def compute() -> Snapshot:
            return (await ran.get()).mounts[target]

        return Lazy(compute)

    mounts = []
    for mount in container.mounts:
        match mount:
            case MountedDirectory(read_only=False, source=kept):
                mount = replace(mount, source=replace(kept, snapshot=after(mount.target)))
            case MountedFile(source=file):
                mount = replace(mount, source=replace(file, snapshot=after(mount.target)))
        mounts.append(mount)
    return replace(container, rootfs=Lazy(rootfs), mounts=tuple(mounts), ran=ran)


async def _run(session: Session, container: Container, command: Exec) -> Ran:
    inputs = await _inputs(session, container)
    key = await _key(session, container, command, inputs)
    kept = session.store.recall(key)
    if kept is not None and _as_expected(command.expect, kept["exit_code"]):
        session.event("exec", cached=True, args=list(command.args))
        return _recalled(key, kept)
    started = asyncio.get_running_loop().time()
    output = Output(session.secret_values(container))
    async with session.services.bound(container.services) as hosts:
        async with prepared(session, container, inputs, command, hosts) as ready:
            code = await session.execute(ready, output, command)
            if not _as_expected(command.expect, code):
                raise ExecError(
                    f"exit code: {code}",
                    command=list(command.args),
                    exit_code=code,
                    stdout=text(output.stdout),
                    stderr=text(output.stderr),
                )
            ran = await finished(asyncio.to_thread(_committed, session, ready, key, code, output))
    seconds = asyncio.get_running_loop().time() - started
    session.event("exec", cached=False, args=list(command.args), seconds=round(seconds, 3))
    return ran


def _as_expected(expect: str, code: int) -> bool:
    return expect == "ANY" or (code == 0) == (expect == "SUCCESS")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The snapshots that a container is made of: its root's and those of its mounts."""

    rootfs: Snapshot
    mounts: dict[str, Snapshot]


async def _inputs(session: Session, container: Container) -> Inputs:
    sources = {
        mount.target: mount.source.snapshot
        for mount in container.mounts
        if isinstance(mount, (MountedDirectory, MountedFile))
    }
    found = await asyncio.gather(container.rootfs.get(), *(s.get() for s in sources.values()))
    return Inputs(found[0], dict(zip(sources, found[1:], strict=True)))


async def _key(session: Session, container: Container, command: Exec, inputs: Inputs) -> str:
    services = [
        [alias, await session.services.key(service)] for alias, service in container.services
    ]
    return digest(
        "exec",
        *(inputs.rootfs.key, command.args, sorted(container.env), container.user),
        *(container.workdir or "/", await container_mounts_key(session, container, inputs)),
        *(sorted((name, secret.key) for name, secret in container.secrets), services),
        *(command.stdin, command.redirect_stdin, command.redirect_stdout),
        *(command.redirect_stderr, command.privileged, command.init),
    )


async def container_mounts_key(
    session: Session, container: Container, inputs: Inputs
) -> list[list[object]]:
    """What stands for a container's mounts in a key."""
    keys: list[list[object]] = []
    for mount in container.mounts:
        what: list[object]
        match mount:
            case MountedDirectory():
                snapshot = inputs.mounts[mount.target]
                what = [await session.directory_key(snapshot, mount.source.path), mount.read_only]
            case MountedFile():
                what = [await session.file_key(inputs.mounts[mount.target], mount.source.path)]
            case MountedCache():
                what = [mount.volume.key, mount.sharing, mount.owner]
            case MountedTemp():
                what = [mount.size]
            case MountedSecret():
                what = [mount.secret.key, mount.owner, mount.mode]
            case MountedSocket():
                what = [mount.socket.path, mount.owner]
        keys.append([type(mount).__name__, mount.target, *what])
    return sorted(keys, key=str)


def _recalled(key: str, kept: dict[str, object]) -> Ran:
    def snapshot(record: object) -> Snapshot:
        assert isinstance(record, list)
        return Snapshot(tuple(record[0]), record[1], record[2])

    mounts = kept["mounts"]
    assert isinstance(mounts, dict)
    return Ran(
        snapshot(kept["rootfs"]),
        {target: snapshot(record) for target, record in mounts.items()},
        int(str(kept["exit_code"])),
        str(kept["stdout"]),
        str(kept["stderr"]),
        str(kept["combined"]),
    )


@dataclass(slots=True)
class Prepared:
    """A container ready to run: mounted, with its folders made."""

    meta: Meta
    rootfs: Active
    namespace: Namespace
    inputs: Inputs
    writable: dict[str, Active] = field(default_factory=dict)
    stubs: list[str] = field(default_factory=list)
    redirects: list[tuple[str, str, str]] = field(default_factory=list)
    stdin: bytes | None = None


@asynccontextmanager
async def prepared(
    session: Session,
    container: Container,
    inputs: Inputs,
    command: Exec,
    hosts: Sequence[tuple[str, str]],
    hostname: str = "",
) -> AsyncIterator[Prepared]:
    """A container's file systems, user and network, for as long as it runs."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_locked_volumes(session, container))
        namespace = await session.network.acquire()
        reusable = not command.privileged
        stack.push_async_callback(session.network.release, namespace, reusable=reusable)
        held = ExitStack()
        stack.push_async_callback(asyncio.to_thread, held.close)
        names = hosts if hostname == "" else [*hosts, (namespace.address, hostname)]
        # Not left while its thread is at work: what it mounts must be there to be unmounted.
        yield await finished(
            asyncio.to_thread(
                _prepare, session, container, inputs, command, namespace, names, hostname, held
            )
        )


def _prepare(
    session: Session,
    container: Container,
    inputs: Inputs,
    command: Exec,
    namespace: Namespace,
    hosts: Sequence[tuple[str, str]],
    hostname: str,
    held: ExitStack,
) -> Prepared:
    active = held.enter_context(session.snapshots.active(inputs.rootfs))
    folder = session.folder("exec")
    held.callback(shutil.rmtree, folder, ignore_errors=True)
    # Closed before the overlay is unmounted: an open directory would keep it alive.
    with Root(active.merged) as root:
        user = _user(root, container, command)
        meta = Meta(
            args=command.args,
            env=_environment(session, container, user),
            cwd=container.workdir or "/",
            uid=user.uid,
            gid=user.gid,
            groups=user.groups,
            hostname=hostname or "brewline",
            privileged=command.privileged,
            init=command.init,
        )
        ready = Prepared(meta, active, namespace, inputs)
        mounts = list(_mounts(session, container, ready, root, folder, held))
        mounts += _network_files(session, folder, namespace, hosts, meta.hostname)
        for mount in mounts:
            ready.stubs += _stub(root, mount)
        ready.meta = replace(meta, mounts=tuple(mounts))
        _make_workdir(root, container, ready, user)
    _redirect(container, command, ready)
    return ready


def _user(root: Root, container: Container, command: Exec) -> User:
    try:
        return find_user(root, container.user)
    except UnknownUser as error:
        raise ExecError(f"get user: {error}", command=list(command.args), exit_code=-1) from None


def _environment(session: Session, container: Container, user: User) -> tuple[tuple[str, str], ...]:
    env = dict(session.passed_on)
    env["HOME"] = user.home
    env.update(container.env)
    env.update(container.volatile)
    env.update((name, session.plaintext(secret)) for name, secret in container.secrets)
    return tuple(env.items())


def _mounts(
    session: Session,
    container: Container,
    ready: Prepared,
    root: Root,
    folder: Path,
    held: ExitStack,
) -> Iterator[Mount]:
    # Outer mounts first, so that an inner one is not hidden.
    for number, mount in enumerate(sorted(container.mounts, key=lambda m: len(m.target))):
        match mount:
            case MountedDirectory():
                snapshot = ready.inputs.mounts[mount.target]
                source = _mounted(session, snapshot, mount.target, mount.read_only, ready, held)
                with Root(source) as tree:
                    path = tree.real(mount.source.path)
                yield Mount(target=mount.target, source=path, read_only=mount.read_only)
            case MountedFile():
                snapshot = ready.inputs.mounts[mount.target]
                source = _mounted(session, snapshot, mount.target, False, ready, held)
                with Root(source) as tree:
                    yield Mount(target=mount.target, source=tree.real(mount.source.path))
            case MountedCache():
                path = str(_volume(session, mount, root))
                yield Mount(target=mount.target, source=path)
            case MountedTemp():
                yield Mount(target=mount.target, size=mount.size)
            case MountedSecret():
                place = folder / f"secret-{number}"
                place.touch(mode=0o600)
                place.write_bytes(session.plaintext(mount.secret).encode())
                os.chown(place, *_owner(root, mount.owner))
                place.chmod(mount.mode)
                yield Mount(target=mount.target, source=str(place))
            case MountedSocket():
                yield Mount(target=mount.target, source=mount.socket.path)


def _owner(root: Root, owner: str) -> tuple[int, int]:
    try:
        return find_owner(root, owner) if owner else (0, 0)
    except UnknownUser as error:
        raise EngineError(f"failed to resolve ownership for {owner}: {error}") from None


def _mounted(
    session: Session,
    snapshot: Snapshot,
    target: str,
    read_only: bool,
    ready: Prepared,
    held: ExitStack,
) -> str:
    if read_only:
        return held.enter_context(session.snapshots.view(snapshot)).path
    active = held.enter_context(session.snapshots.active(snapshot))
    ready.writable[target] = active
    return active.merged


def _volume(session: Session, mount: MountedCache, root: Root) -> Path:
    """The folder of a cache volume, made when it is used for the first time."""
    path = session.store.volumes / digest(mount.volume.key)[:32] / "data"
    if not path.exists():
        with session.store.lock(f"volume {mount.volume.key}"):
            draft = path.with_name("draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            draft.chmod(0o755)
            if not path.exists():
                draft.rename(path)
    if mount.owner:
        os.chown(path, *_owner(root, mount.owner))
    return path


@asynccontextmanager
async def _locked_volumes(session: Session, container: Container) -> AsyncIterator[None]:
    """Hold the volumes that one exec at a time may use; PRIVATE is recorded to wait as well."""
    names = sorted(
        mount.volume.key
        for mount in container.mounts
        if isinstance(mount, MountedCache) and mount.sharing != "SHARED"
    )
    with ExitStack() as held:
        for name in dict.fromkeys(names):
            path = session.store.volumes / f"{digest(name)[:32]}.lock"
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            held.callback(os.close, fd)
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.02)
        yield


def _network_files(
    session: Session,
    folder: Path,
    namespace: Namespace,
    hosts: Sequence[tuple[str, str]],
    hostname: str,
) -> list[Mount]:
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines.append(f"{namespace.address}\t{hostname}")
    lines += [f"{address}\t{name}" for address, name in hosts]
    files = {
        "/etc/hosts": "\n".join(lines) + "\n",
        "/etc/resolv.conf": f"nameserver {session.network.nameserver}\n",
    }
    mounts = [*session.certificates]
    for target, contents in files.items():
        place = folder / target.rpartition("/")[2]
        place.write_text(contents)
        place.chmod(0o644)
        mounts.append(Mount(target=target, source=str(place)))
    return mounts


def _stub(root: Root, mount: Mount) -> list[str]:
    """Make what a mount needs to be mounted on; what was made, to be removed afterwards."""
    if mount.target.startswith(("/dev/", "/proc/", "/sys/")) or root.exists(mount.target):
        return []
    is_file = mount.source is not None and not os.path.isdir(mount.source)
    made = root.make_dirs(os.path.dirname(mount.target) if is_file else mount.target)
    if is_file:
        root.write(mount.target, b"", mode=0o644)
        made.append(mount.target)
    return made


def _make_workdir(root: Root, container: Container, ready: Prepared, user: User) -> None:
    path = clean(container.workdir or "/")
    found = container.mount_at(path)
    if found is not None:
        mount, below = found
        if isinstance(mount, MountedDirectory) and not mount.read_only:
            with Root(ready.writable[mount.target].merged) as tree:
                inside = f"{mount.source.path}/{below}"
                tree.make_dirs(inside, owner=(user.uid, user.gid))
        return
    root.make_dirs(path, owner=(user.uid, user.gid))


def _redirect(container: Container, command: Exec, ready: Prepared) -> None:
    """Read the file that is the command's input, and see to the files that take its output."""
    if command.stdin:
        ready.stdin = command.stdin.encode()
    elif command.redirect_stdin:
        tree, path = _files_at(container, ready, container.absolute(command.redirect_stdin))
        with Root(tree) as root:
            ready.stdin = root.read(path)
    for stream in ("stdout", "stderr"):
        name = getattr(command, f"redirect_{stream}")
        if not name:
            continue
        target = container.absolute(name)
        place = _files_at(container, ready, target)
        try:
            _write_into(*place, b"")
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            said = f"open redirect {stream} file: open {target}: {why}"
            raise ExecError(said, command=list(command.args), exit_code=-1) from None
        ready.redirects.append((stream, *place))


def _files_at(container: Container, ready: Prepared, target: str) -> tuple[str, str]:
    """The mounted tree that holds `target`, which may be below a mount, and the path in it."""
    found = container.mount_at(target)
    if found is None:
        return ready.rootfs.merged, target
    mount, below = found
    if not isinstance(mount, MountedDirectory) or mount.read_only:
        raise EngineError(f"{target}: cannot redirect into this mount")
    return ready.writable[mount.target].merged, clean(f"{mount.source.path}/{below}")


def _write_into(tree: str, path: str, data: bytes) -> None:
    with Root(tree) as root:
        fd = root.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(data)


def _committed(session: Session, ready: Prepared, key: str, code: int, output: Output) -> Ran:
    """Keep what the command left: the layers of its file systems and its streams."""
    for stream, tree, path in ready.redirects:
        _write_into(tree, path, bytes(getattr(output, stream)))
    with Root(ready.rootfs.merged) as root:
        _remove_stubs(root, ready.stubs)
    rootfs = _kept(session, ready.inputs.rootfs, ready.rootfs, digest(key, "rootfs"))
    mounts = dict(ready.inputs.mounts)
    for target, active in ready.writable.items():
        mounts[target] = _kept(session, mounts[target], active, digest(key, target))
    ran = Ran(rootfs, mounts, code, text(output.stdout), text(output.stderr), text(output.combined))
    layers = {layer for s in (rootfs, *mounts.values()) for layer in s.layers}
    session.store.remember(
        key,
        {
            "layers": sorted(layers),
            "rootfs": [rootfs.layers, rootfs.key, rootfs.plain],
            "mounts": {t: [s.layers, s.key, s.plain] for t, s in mounts.items()},
            "exit_code": ran.exit_code,
            "stdout": ran.stdout,
            "stderr": ran.stderr,
            "combined": ran.combined,
        },
    )
    return ran


def _kept(session: Session, below: Snapshot, active: Active, key: str) -> Snapshot:
    if not any(os.scandir(active.upper)):
        return below
    linux.umount(active.merged, linux.MNT_DETACH)
    folder = session.store.folder("kept")
    upper = folder / "fs"
    active.upper.rename(upper)
    made = session.snapshots.commit(below, upper, key, plain=False)
    shutil.rmtree(folder, ignore_errors=True)
    return made


def _remove_stubs(root: Root, stubs: Sequence[str]) -> None:
    """Remove the mount points that were made, unless something was put there."""
    for path in reversed(stubs):
        with suppress(OSError), root.parent(path) as (fd, name):
            status = os.lstat(name, dir_fd=fd)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=fd)
            elif status.st_size == 0:
                os.unlink(name, dir_fd=fd)
