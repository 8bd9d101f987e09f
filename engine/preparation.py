"""A container made ready to run: its file systems mounted, its user, folders and files found."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.command import Exec, Inputs, failure
from engine.errors import EngineError, reason
from engine.executor.spec import Meta, Mount
from engine.lazy import finished
from engine.model import (
    Container,
    ContainerMount,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedSocket,
    MountedTemp,
)
from engine.network import Namespace
from engine.root import Root, clean
from engine.snapshot import Active, Snapshot
from engine.store import digest
from engine.users import UnknownUser, User, find_owner, find_user
from engine.volumes import fill, key_of

if TYPE_CHECKING:
    from engine.session import Session

# What BuildKit gives a container whose image sets none.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
    async with _locked_volumes(session, container):
        namespace = await session.network.acquire(alone=not command.network)
        held = ExitStack()
        left = partial(_left, session, held, namespace, reusable=not command.privileged)
        names = hosts if hostname == "" else [*hosts, (namespace.address, hostname)]
        preparing = asyncio.to_thread(
            _prepare, session, container, inputs, command, namespace, names, hostname, held
        )
        try:
            # Not left while its thread is at work: what it mounts must be there to be unmounted.
            yield await finished(preparing)
        except BaseException:
            await finished(left())
            raise
        # Of a success nobody waits for this, but the session's end.
        session.afterwards(left())


async def _left(session: Session, held: ExitStack, namespace: Namespace, *, reusable: bool) -> None:
    """Let go of what a container held, which has ended."""
    try:
        await asyncio.to_thread(held.close)
    finally:
        await session.network.release(namespace, reusable=reusable)


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
        user = _user(session, root, container, command)
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
    _redirect(session, container, command, ready)
    return ready


def _user(session: Session, root: Root, container: Container, command: Exec) -> User:
    try:
        return find_user(root, container.user)
    except UnknownUser as error:
        raise failure(session, command.args, f"get user: {error}") from None


def _environment(session: Session, container: Container, user: User) -> tuple[tuple[str, str], ...]:
    env = {"PATH": _PATH, **session.passed_on}
    env["HOME"] = user.home
    env.update(container.env)
    env.update(container.volatile)
    env.update((name, session.plaintext(secret)) for name, secret in container.secrets)
    return tuple(env.items())


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


def _redirect(session: Session, container: Container, command: Exec, ready: Prepared) -> None:
    """Read the file that is the command's input, and see to the files that take its output."""
    if command.stdin:
        ready.stdin = command.stdin.encode()
    elif command.redirect_stdin:
        target = container.absolute(command.redirect_stdin)
        tree, path = _place(ready, target, writing=False)
        with _redirecting(session, command, "stdin", target), Root(tree) as root:
            ready.stdin = root.read(path)
    for stream in ("stdout", "stderr"):
        name = getattr(command, f"redirect_{stream}")
        if not name:
            continue
        target = container.absolute(name)
        place = _place(ready, target, writing=True)
        with _redirecting(session, command, stream, target):
            write_into(ready, *place, lambda fd: None)
        ready.redirects.append((stream, *place))


@contextmanager
def _redirecting(session: Session, command: Exec, stream: str, target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"open redirect {stream} file: open {target}: {reason(error)}"
        raise failure(session, command.args, said) from None


def _place(ready: Prepared, target: str, *, writing: bool) -> tuple[str, str]:
    """The tree on the machine that holds `target`, which may be below a mount, and the path in it.

    Raises EngineError for a tmpfs, which is not there yet, and for writing where nobody may.
    """
    over = [m for m in ready.meta.mounts if f"{target}/".startswith(m.target.rstrip("/") + "/")]
    if not over:
        return ready.rootfs.merged, target
    mount = max(over, key=lambda m: len(m.target))
    if mount.source is None or (writing and mount.read_only):
        raise EngineError(f"{target}: cannot redirect into this mount")
    if os.path.isdir(mount.source):
        return mount.source, clean(target[len(mount.target.rstrip("/")) :])
    return os.path.split(mount.source)


def write_into(ready: Prepared, tree: str, path: str, write: Callable[[int], None]) -> None:
    """Make or empty a file that is the command's user's, and have `write` write to it."""
    with Root(tree) as root:
        fd = root.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.fchown(fd, ready.meta.uid, ready.meta.gid)
            write(fd)
        finally:
            os.close(fd)


def _mounts(
    session: Session,
    container: Container,
    ready: Prepared,
    root: Root,
    folder: Path,
    held: ExitStack,
) -> Iterator[Mount]:
    # Outer mounts first, so that an inner one is not hidden; at one place a secret is on top.
    for number, mount in enumerate(sorted(container.mounts, key=_height)):
        match mount:
            case MountedDirectory() | MountedFile():
                snapshot = ready.inputs.mounts[mount.target]
                source = _mounted(session, snapshot, mount.target, mount.read_only, ready, held)
                with Root(source) as tree:
                    path = tree.real(mount.source.path)
                yield Mount(target=mount.target, source=path, read_only=mount.read_only)
            case MountedCache():
                path = str(_volume(session, mount, ready.inputs.mounts.get(mount.target), root))
                yield Mount(target=mount.target, source=path, read_only=mount.read_only)
            case MountedTemp():
                yield Mount(target=mount.target, size=mount.size)
            case MountedSecret():
                place = folder / f"secret-{number}"
                place.touch(mode=0o600)
                place.write_bytes(session.secret_bytes(mount.secret))
                if mount.owner:
                    os.chown(place, *_owner(root, mount.owner))
                place.chmod(mount.mode)
                yield Mount(target=mount.target, source=str(place))
            case MountedSocket():
                yield Mount(target=mount.target, source=_socket(mount.socket.path))


def _height(mount: ContainerMount) -> tuple[int, bool]:
    return len(mount.target), isinstance(mount, (MountedSecret, MountedSocket))


def _owner(root: Root, owner: str) -> tuple[int, int]:
    try:
        return find_owner(root, owner)
    except UnknownUser as error:
        raise EngineError(f"failed to resolve ownership for {owner}: {error}") from None


def _socket(path: str) -> str:
    with suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            return path
    raise EngineError(f"{path} is no unix socket of this machine: start what listens there")


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


def _volume(session: Session, mount: MountedCache, source: Snapshot | None, root: Root) -> Path:
    """The folder of a cache volume, made when it is used for the first time."""
    key = key_of(session, mount, source)
    path = session.store.volume(key, partial(fill, session, mount, source))
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
