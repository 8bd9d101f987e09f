"""Running a command in a container: its key, its result, and what is kept of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import linux
from engine.errors import ExecError
from engine.executor.output import Output, text
from engine.explanation import why
from engine.lazy import Lazy, finished
from engine.longtext import LongText
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
from engine.preparation import Exec, Inputs, Prepared, inputs_of, prepared, write_into
from engine.root import Root
from engine.snapshot import Active, Snapshot
from engine.store import digest
from engine.usage import Disk, lack_of_room
from engine.watch import TimeOver, watched

if TYPE_CHECKING:
    from engine.session import Session


# As timeout(1) has it.
_TIME_OVER = 124
# Of a command, when people are told what made a layer.
_SHOWN = 200
_STREAMS = ("stdout", "stderr", "combined")


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
    inputs = await inputs_of(container)
    parts = await _parts(session, container, command, inputs)
    key = digest("exec", inputs.rootfs.key, parts)
    kept = session.store.recall(key)
    if kept is not None and _as_expected(command.expect, kept["exit_code"]):
        session.event("exec", cached=True, args=session.without_secrets(command.args))
        ran = _recalled(session, key, kept)
        _note(session, command, inputs, ran)
        return ran
    started = asyncio.get_running_loop().time()
    output = session.output(container)
    try:
        async with session.services.bound(container.services) as hosts:
            async with prepared(session, container, inputs, command, hosts) as ready:
                try:
                    async with watched(session, command.args):
                        code = await session.execute(ready, output)
                except TimeOver as error:
                    raise _failed(session, command, _TIME_OVER, output, str(error)) from None
                if not _as_expected(command.expect, code):
                    await session.terminals.offer(container, ready, output)
                    raise _failed(session, command, code, output, await _why(session, code))
                committing = asyncio.to_thread(_committed, session, ready, key, code, output)
                ran = await finished(committing)
    finally:
        output.close()
        seconds = round(asyncio.get_running_loop().time() - started, 3)
        _tell(session, command, inputs.rootfs.key, parts, seconds=seconds)
    _note(session, command, inputs, ran)
    return ran


def _note(session: Session, command: Exec, inputs: Inputs, ran: Ran) -> None:
    what = " ".join(session.without_secrets(command.args))[:_SHOWN]
    lineage = session.snapshots.lineage
    lineage.note(ran.rootfs.key, f"after {what}", what, inputs.rootfs.key)


async def _why(session: Session, code: int) -> str:
    why = f"exit code: {code}"
    if Disk.of(session.store.path).full:
        why += f"; {await asyncio.to_thread(lack_of_room, session.settings)}"
    return why


def _failed(session: Session, command: Exec, code: int, output: Output, message: str) -> ExecError:
    return ExecError(
        message,
        command=session.without_secrets(command.args),
        exit_code=code,
        stdout=output.stdout.tail(),
        stderr=output.stderr.tail(),
    )


def _as_expected(expect: str, code: int) -> bool:
    return expect == "ANY" or (code == 0) == (expect == "SUCCESS")


async def _parts(
    session: Session, container: Container, command: Exec, inputs: Inputs
) -> dict[str, object]:
    """What a command's result depends on, but for its files, by names for people."""
    services = [
        [alias, await session.services.key(service)] for alias, service in container.services
    ]
    mounts = await container_mounts_key(session, container, inputs)
    return {
        "the command": command.args,
        "its user": container.user,
        "its working directory": container.workdir or "/",
        **{f"variable {name}": value for name, value in container.env},
        **{f"the mount at {mount[1]}": mount for mount in mounts},
        **{f"secret {name}": secret.key for name, secret in container.secrets},
        "its services": services,
        "its input": [command.stdin, command.redirect_stdin],
        "how it is run": [
            *(command.redirect_stdout, command.redirect_stderr, command.privileged),
            *(command.init, command.network),
        ],
    }


def _tell(
    session: Session, command: Exec, files: str, parts: dict[str, object], **facts: object
) -> None:
    """Tell whoever listens that a command ran, and what made that necessary."""
    if not session.settings.events:
        return
    args = session.without_secrets(command.args)
    steps = session.snapshots.lineage.of(files)
    with suppress(OSError):  # a full disk: there is another error to be told
        because = why(session.store, args, steps, parts)
        session.event("exec", cached=False, args=args, because=because, **facts)


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
                what += ["read only"] if mount.read_only else []
            case MountedCache():
                what = [mount.volume.key, mount.sharing, mount.owner]
                what += ["read only"] if mount.read_only else []
                if mount.source is not None:
                    source = inputs.mounts[mount.target]
                    what.append(await session.directory_key(source, mount.source.path))
            case MountedTemp():
                what = [mount.size]
            case MountedSecret():
                what = [mount.secret.key, mount.owner, mount.mode]
            case MountedSocket():
                what = [mount.socket.path, mount.owner]
        keys.append([type(mount).__name__, mount.target, *what])
    return sorted(keys, key=str)


def _recalled(session: Session, key: str, kept: dict[str, object]) -> Ran:
    def snapshot(record: object) -> Snapshot:
        assert isinstance(record, list)
        return Snapshot(tuple(record[0]), record[1], record[2])

    mounts = kept["mounts"]
    assert isinstance(mounts, dict)
    return Ran(
        snapshot(kept["rootfs"]),
        {target: snapshot(record) for target, record in mounts.items()},
        int(str(kept["exit_code"])),
        *(_text(session, kept[name]) for name in _STREAMS),
    )


def _text(session: Session, record: object) -> str | LongText:
    if isinstance(record, str):
        return record
    assert isinstance(record, list)
    layer, name, size = record
    return LongText(session.store.layers / layer / name, size)


def _committed(session: Session, ready: Prepared, key: str, code: int, output: Output) -> Ran:
    """Keep what the command left: the layers of its file systems and its streams."""
    for stream, tree, path in ready.redirects:
        write_into(tree, path, getattr(output, stream).copy_to)
    with Root(ready.rootfs.merged) as root:
        _remove_stubs(root, ready.stubs)
    rootfs = _kept(session, ready.inputs.rootfs, ready.rootfs, digest(key, "rootfs"))
    mounts = dict(ready.inputs.mounts)
    for target, active in ready.writable.items():
        mounts[target] = _kept(session, mounts[target], active, digest(key, target))
    layers = {layer for s in (rootfs, *mounts.values()) for layer in s.layers}
    records = _kept_output(session, output)
    layers.update(str(record[0]) for record in records.values() if isinstance(record, list))
    session.store.remember(
        key,
        {
            "layers": sorted(layers),
            "rootfs": [rootfs.layers, rootfs.key, rootfs.plain],
            "mounts": {t: [s.layers, s.key, s.plain] for t, s in mounts.items()},
            "exit_code": code,
            "what": " ".join(session.without_secrets(ready.meta.args))[:_SHOWN],
            **records,
        },
    )
    out, err, both = (_text(session, records[name]) for name in _STREAMS)
    return Ran(rootfs, mounts, code, out, err, both)


def _kept_output(session: Session, output: Output) -> dict[str, str | list[object]]:
    """The streams as they are kept: short ones as text, long ones as files of a layer."""
    layer = "" if output.folder is None else session.store.adopt(output.folder)
    return {
        name: (
            text(stream.short()) if stream.file is None else [layer, stream.file.name, stream.size]
        )
        for name, stream in zip(_STREAMS, output.streams, strict=True)
    }


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
