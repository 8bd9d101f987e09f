"""A command run to its end in a prepared container, and what is kept of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.command import Exec, Inputs, as_expected, failure, shown
from engine.executor.output import Output, text
from engine.lazy import finished
from engine.model import Container
from engine.preparation import Prepared, prepared, write_into
from engine.root import Root
from engine.snapshot import Active, Snapshot
from engine.store import digest
from engine.usage import Disk, lack_of_room
from engine.watch import TimeOver, watched

if TYPE_CHECKING:
    from engine.session import Session

# As timeout(1) has it.
_TIME_OVER = 124
_STREAMS = ("stdout", "stderr", "combined")


async def perform(
    session: Session, container: Container, command: Exec, inputs: Inputs, key: str
) -> dict[str, Any]:
    """Run a command and remember its result under `key`; the record of it.

    Raises ExecError for a command that fails, which is not remembered.
    """
    output = session.output(container)
    try:
        with session.progress.task(session.without_secrets(command.args)) as task:
            output.heard = task.hear
            return await _performed(session, container, command, inputs, key, output)
    finally:
        output.close()


async def _performed(
    session: Session, container: Container, command: Exec, inputs: Inputs, key: str, output: Output
) -> dict[str, Any]:
    async with session.services.bound(container.services) as bound:
        async with prepared(session, container, inputs, command, bound.hosts) as ready:
            try:
                async with watched(session, command.args), bound.needed():
                    code = await session.execute(ready, output)
            except TimeOver as error:
                raise failure(
                    session, command.args, str(error), exit_code=_TIME_OVER, output=output
                ) from None
            if not as_expected(command.expect, code):
                await session.terminals.offer(container, ready, output)
                why = await _why(session, code)
                raise failure(session, command.args, why, exit_code=code, output=output)
            committing = asyncio.to_thread(_committed, session, ready, key, code, output)
            return await finished(committing)


async def _why(session: Session, code: int) -> str:
    why = f"exit code: {code}"
    if Disk.of(session.store.path).full:
        why += f"; {await asyncio.to_thread(lack_of_room, session.settings)}"
    return why


def _committed(
    session: Session, ready: Prepared, key: str, code: int, output: Output
) -> dict[str, Any]:
    """Keep what the command left: the layers of its file systems and its streams."""
    for stream, tree, path in ready.redirects:
        write_into(ready, tree, path, getattr(output, stream).copy_to)
    with Root(ready.rootfs.merged) as root:
        _remove_stubs(root, ready.stubs)
    rootfs = _kept(session, ready.inputs.rootfs, ready.rootfs, digest(key, "rootfs"))
    mounts = dict(ready.inputs.mounts)
    for target, active in ready.writable.items():
        mounts[target] = _kept(session, mounts[target], active, digest(key, target))
    layers = {layer for s in (rootfs, *mounts.values()) for layer in s.layers}
    records = _kept_output(session, output)
    layers.update(str(record[0]) for record in records.values() if isinstance(record, list))
    record = {
        "layers": sorted(layers),
        "rootfs": [rootfs.layers, rootfs.key, rootfs.plain],
        "mounts": {t: [s.layers, s.key, s.plain] for t, s in mounts.items()},
        "exit_code": code,
        "what": shown(session, ready.meta.args),
        **records,
    }
    session.store.remember(key, record)
    return record


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
    if session.snapshots.unchanged(active, below):
        return below
    session.snapshots.unmount(active, lazily=True)
    folder = session.store.folder("kept")
    upper = folder / "fs"
    active.upper.rename(upper)
    made = session.snapshots.commit(below, upper, key, plain=False)
    shutil.rmtree(folder, ignore_errors=True)
    return made


def _remove_stubs(root: Root, stubs: Sequence[str]) -> None:
    """Remove the mount points that were made, unless something was put there.

    As in the real engine, the time of the directory that holds one is what the command left.
    """
    for path in reversed(stubs):
        with suppress(OSError), root.parent(path) as (fd, name):
            status, above = os.lstat(name, dir_fd=fd), os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=fd)
            elif status.st_size == 0:
                os.unlink(name, dir_fd=fd)
            os.utime(fd, ns=(above.st_atime_ns, above.st_mtime_ns))
