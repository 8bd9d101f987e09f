"""The machine's edge without the machine: commands are Python functions, and nothing is mounted.

It needs no root. A mount is a copy of its layers, of which what differs afterwards is the upper
layer; who listens is reached; addresses lead nowhere. All else of a session is as in an engine.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from engine.executor.output import Output
from engine.executor.spec import Meta
from engine.lazy import ended, finished
from engine.network import Namespace, Network
from engine.root import Root
from engine.runtime import Executor, Runtime
from engine.session import Session
from engine.settings import Settings
from engine.snapshot import Active, Snapshot, Snapshots
from engine.store import Store, digest
from engine.terminal import ClientTerminal
from engine.typesystem import TypeSystem

Listening: TypeAlias = set[tuple[str, int]]

_NOT_FOUND, _KILLED = 127, 137


class Process:
    """A command as its program sees it."""

    def __init__(
        self, meta: Meta, rootfs: str, address: str, stdin: bytes | None, listening: Listening
    ) -> None:
        self.meta = meta
        self.args = meta.args
        self.env = dict(meta.env)
        self.stdin = stdin
        self.address = address
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()
        self._rootfs = rootfs
        self._listening = listening

    def path(self, name: str) -> Path:
        """Where the absolute path `name` of the container lies, in a mount or in its root."""
        for mount in sorted(self.meta.mounts, key=lambda m: len(m.target), reverse=True):
            if name == mount.target or name.startswith(f"{mount.target}/"):
                assert mount.source is not None, "the fake has no tmpfs"
                return Path(mount.source + name[len(mount.target) :])
        return Path(self._rootfs + name)

    def out(self, text: str) -> None:
        """Write to standard output."""
        self.stdout.feed_data(text.encode())

    def err(self, text: str) -> None:
        """Write to standard error."""
        self.stderr.feed_data(text.encode())

    def listen(self, port: int) -> None:
        """Be reached at `port` from now on."""
        self._listening.add((self.address, port))

    def hosts(self) -> dict[str, str]:
        """The addresses that the container knows, by name."""
        lines = self.path("/etc/hosts").read_text().splitlines()
        return {name: line.split()[0] for line in lines for name in line.split()[1:]}

    def close(self) -> None:
        """Let go of what the kernel would."""
        for stream in (self.stdout, self.stderr):
            stream.feed_eof()
        self._listening -= {found for found in self._listening if found[0] == self.address}


Program: TypeAlias = Callable[[Process], Awaitable[int]]


class FakeExecutor:
    """Calls programs by the first argument; a cancelled one may take its time to end."""

    def __init__(
        self, programs: Mapping[str, Program], processes: list[Process], listening: Listening
    ) -> None:
        self._programs = programs
        self._processes = processes
        self._listening = listening
        self._alive: dict[str, asyncio.Future[int]] = {}

    async def run(
        self,
        meta: Meta,
        rootfs: str,
        namespace: Namespace,
        output: Output,
        *,
        stdin: bytes | None = None,
    ) -> int:
        process = Process(meta, rootfs, namespace.address, stdin, self._listening)
        self._processes.append(process)
        program = self._programs.get(meta.args[0], _missing)
        work = self._alive[namespace.name] = asyncio.ensure_future(program(process))
        reading = asyncio.ensure_future(output.collect(process.stdout, process.stderr))
        try:
            await asyncio.wait([work])
        finally:
            await ended(work)
            process.close()
            await finished(reading)
            del self._alive[namespace.name]
        return _KILLED if work.cancelled() else work.result()

    async def run_within(self, meta: Meta, namespace: Namespace, output: Output) -> int:
        return await self.run(meta, "", replace(namespace, name=f"in {namespace.name}"), output)

    def kill(self, namespace: Namespace) -> None:
        if namespace.name in self._alive:
            self._alive[namespace.name].cancel()


async def _missing(process: Process) -> int:
    process.err(f'exec: "{process.args[0]}": executable file not found in $PATH')
    return _NOT_FOUND


class FakeNetwork(Network):
    """Addresses for documentation (RFC 5737), which nothing has; `held` are the ones in use."""

    def __init__(self, listening: Listening, held: set[str]) -> None:
        super().__init__()
        self._listening = listening
        self._held = held
        self._hosts = itertools.count(1)

    async def acquire(self, *, alone: bool = False) -> Namespace:
        number = next(self._hosts)
        made = Namespace(f"fake{number}", f"192.0.2.{number}", alone)
        self._held.add(made.name)
        return made

    async def release(self, namespace: Namespace, *, reusable: bool = True) -> None:
        self._held.remove(namespace.name)

    async def warm(self, count: int) -> None:
        pass

    async def reaches(self, address: str, port: int) -> bool:
        return (address, port) in self._listening


class FakeSnapshots(Snapshots):
    """Snapshots that are copied where they would be mounted."""

    def __init__(self, store: Store, mounts: Path) -> None:
        super().__init__(store, mounts)
        self._below: dict[str, Snapshot] = {}

    @contextmanager
    def view(self, snapshot: Snapshot) -> Iterator[Root]:
        with self._copied(snapshot) as folder, Root(str(folder / "merged")) as root:
            yield root

    @contextmanager
    def active(self, snapshot: Snapshot) -> Iterator[Active]:
        with self._copied(snapshot) as folder:
            (folder / "upper").mkdir()
            self._below[str(folder / "merged")] = snapshot
            yield Active(str(folder / "merged"), folder / "upper")

    def unchanged(self, active: Active, below: Snapshot) -> bool:
        self.unmount(active)  # only then it is known here what differs
        return super().unchanged(active, below)

    def unmount(self, active: Active, *, lazily: bool = False) -> None:
        below, merged = self._below[active.merged], Path(active.merged)
        with self._copied(below) as folder:
            before = folder / "merged"
            for path in before.rglob("*"):
                assert (merged / path.relative_to(before)).exists(), "the fake has no whiteouts"
            for path in sorted(merged.rglob("*")):
                name = path.relative_to(merged)
                if not _equal(path, before / name):
                    _copy(path, active.upper / name)

    @contextmanager
    def _copied(self, snapshot: Snapshot) -> Iterator[Path]:
        folder = self.store.folder("fake")
        (folder / "merged").mkdir()
        try:
            for layer in snapshot.layers:
                shutil.copytree(self.store.layers / layer, folder / "merged", dirs_exist_ok=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _equal(path: Path, before: Path) -> bool:
    if not before.exists() or path.stat().st_mode != before.stat().st_mode:
        return False
    return path.is_dir() or path.read_bytes() == before.read_bytes()


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        target.mkdir(exist_ok=True)
    else:
        shutil.copy2(path, target)


class FakeRuntime(Runtime):
    """A machine for any number of sessions, which notes what ran and what is held."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.namespaces: set[str] = set()
        self._programs: dict[str, Program] = {}
        self._listening: Listening = set()

    def program(self, program: Program) -> Program:
        """Have the machine's containers run a function as the command of its name."""
        self._programs[getattr(program, "__name__")] = program
        return program

    @property
    def ran(self) -> list[str]:
        """The commands that ran, in the order of their starts."""
        return [" ".join(process.args) for process in self.processes]

    def snapshots(self, store: Store, folder: Path) -> Snapshots:
        return FakeSnapshots(store, folder / "mounts")

    def network(self, proxies: Collection[str]) -> Network:
        return FakeNetwork(self._listening, self.namespaces)

    def executor(self, store: Store, folder: Path) -> Executor:
        return FakeExecutor(self._programs, self.processes, self._listening)

    @asynccontextmanager
    async def session(
        self, store: Store, *, events: Path | None = None, exec_seconds: float | None = None
    ) -> AsyncIterator[Session]:
        """A session on this machine; nothing is left of it afterwards."""
        settings = Settings(store=store.path, events=events, exec_seconds=exec_seconds)
        types = TypeSystem(frozenset(), {}, {}, {})
        session = Session(settings, store, store.folder("run"), types, ClientTerminal(), self)
        try:
            yield session
        finally:
            await session.close()
        assert self.namespaces == set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, but not for ever."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def snapshot(store: Store, files: Mapping[str, str]) -> Snapshot:
    """Files as a snapshot of one layer; a name with a slash at its end is a folder."""
    folder = store.folder("made")
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(contents)
    return Snapshot((store.adopt(folder),), digest("made", files))
