"""A command in a container as a value: known by its key, or run when somebody asks for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.command import Exec, Inputs, as_expected, inputs_of, parts_of, shown
from engine.explanation import why
from engine.lazy import Lazy
from engine.longtext import LongText
from engine.model import Container, MountedDirectory, MountedFile, Ran
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session


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
    parts = await parts_of(session, container, command, inputs)
    key = digest("exec", inputs.rootfs.key, parts)
    kept = session.store.recall(key)
    if kept is not None and as_expected(command.expect, kept["exit_code"]):
        args = session.without_secrets(command.args)
        session.event("exec", cached=True, args=args)
        session.progress.cached(args)
        ran = _recalled(session, kept)
        _note(session, command, inputs, ran)
        return ran
    name = key, command.expect
    if name not in session.performing:
        performing = partial(_performed, session, container, command, inputs, parts, key)
        session.performing[name] = Lazy(performing)
    ran = _recalled(session, await session.performing[name].get())
    _note(session, command, inputs, ran)
    return ran


async def _performed(
    session: Session,
    container: Container,
    command: Exec,
    inputs: Inputs,
    parts: dict[str, object],
    key: str,
) -> dict[str, Any]:
    """The record of a command that runs now."""
    from engine.running import perform  # not needed for what is known

    started = asyncio.get_running_loop().time()
    try:
        return await perform(session, container, command, inputs, key)
    finally:
        session.performing.pop((key, command.expect), None)
        seconds = round(asyncio.get_running_loop().time() - started, 3)
        _tell(session, command, inputs.rootfs.key, parts, seconds=seconds)


def _note(session: Session, command: Exec, inputs: Inputs, ran: Ran) -> None:
    """Note what made files, if anybody listens: explanations alone ask for it."""
    if not session.settings.events:
        return
    what = shown(session, command.args)
    lineage = session.snapshots.lineage
    lineage.note(ran.rootfs.key, f"after {what}", what, inputs.rootfs.key)


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


def _recalled(session: Session, kept: dict[str, Any]) -> Ran:
    """The result of a command as its record in the store has it."""

    def snapshot(record: Any) -> Snapshot:
        return Snapshot(tuple(record[0]), record[1], record[2])

    return Ran(
        snapshot(kept["rootfs"]),
        {target: snapshot(record) for target, record in kept["mounts"].items()},
        kept["exit_code"],
        *(_text(session, kept[name]) for name in ("stdout", "stderr", "combined")),
    )


def _text(session: Session, record: object) -> str | LongText:
    if isinstance(record, str):
        return record
    assert isinstance(record, list)
    layer, name, size = record
    return LongText(session.store.layers / layer / name, size)
