"""What a command leaves is remembered, by what it depends on and nothing else."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.command import Exec
from engine.errors import ExecError
from engine.execution import with_exec
from engine.explanation import NEW, SAME
from engine.lazy import Lazy
from engine.model import (
    CacheVolume,
    Container,
    ContainerMount,
    ContainerService,
    Directory,
    File,
    Healthcheck,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    Port,
    Ran,
    Secret,
)
from engine.session import Session
from engine.snapshot import Snapshot
from engine.store import Store
from tests.engine.fake_runtime import FakeRuntime, Process, snapshot, until

pytestmark = pytest.mark.anyio

# Mount points are there, as an ordinary user cannot make them root's.
BASE = {
    "etc/hosts": "",
    "etc/resolv.conf": "",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nbuilder:x:7:7::/home/builder:/bin/sh\n",
    "mnt/": "",
    "file": "",
    "work/": "",
}


class FullDisk(Store):
    """A store whose disk is full when `full`."""

    full = False

    def adopt(self, folder: Path) -> str:
        self._room()
        return super().adopt(folder)

    def remember(self, key: str, record: dict[str, Any]) -> None:
        self._room()
        super().remember(key, record)

    def _room(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    monkeypatch.chdir(tmp_path)  # a session leaves for the layers
    return FullDisk(tmp_path / "store")


@pytest.fixture
def runtime() -> FakeRuntime:
    machine = FakeRuntime()

    @machine.program
    async def make(process: Process) -> int:
        process.out("made\n")
        process.path("/made").write_text(f"run {len(machine.processes)}")
        return 0

    @machine.program
    async def fail(process: Process) -> int:
        process.out("tried\n")
        process.err("cannot\n")
        return int(process.args[1])

    @machine.program
    async def wait(process: Process) -> int:
        process.out("waits\n")
        await asyncio.Event().wait()
        return 0

    return machine


@pytest.fixture
async def session(runtime: FakeRuntime, store: FullDisk, tmp_path: Path) -> AsyncIterator[Session]:
    async with runtime.session(store, events=tmp_path / "events") as session:
        yield session


@pytest.fixture
def container(store: FullDisk) -> Container:
    return Container(platform="linux/amd64", rootfs=Lazy.of(snapshot(store, BASE)))


async def run(session: Session, container: Container, *args: str, **options: Any) -> Ran:
    """What a command leaves."""
    made = with_exec(session, container, Exec(args=args, **options))
    assert made.ran is not None
    return await made.ran.get()


def contents(session: Session, found: Snapshot, path: str) -> str:
    with session.snapshots.view(found) as root:
        return root.read(path).decode()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)


async def test_result_is_recalled_in_another_session_of_the_store(
    runtime: FakeRuntime, store: FullDisk, container: Container
) -> None:
    found = []
    for _ in range(2):
        async with runtime.session(store) as session:
            ran = await run(session, container, "make")
            found.append((ran, contents(session, ran.rootfs, "/made")))
    assert found[0] == found[1]
    assert (found[0][0].stdout, found[0][1]) == ("made\n", "run 1")
    assert runtime.ran == ["make"]


async def test_what_follows_a_recalled_result_sees_its_files(
    session: Session, runtime: FakeRuntime, container: Container
) -> None:
    @runtime.program
    async def show(process: Process) -> int:
        process.out(process.path("/made").read_text())
        return 0

    for number in range(2):
        made = with_exec(session, container, Exec(args=("make",)))
        assert (await run(session, made, "show", str(number))).stdout == "run 1"
    assert runtime.ran == ["make", "show 0", "show 1"]


async def test_command_that_changes_no_file_leaves_the_files_as_they_were(
    session: Session, runtime: FakeRuntime, container: Container
) -> None:
    @runtime.program
    async def look(process: Process) -> int:
        return 0

    assert (await run(session, container, "look")).rootfs == await container.rootfs.get()


async def test_result_whose_layer_is_gone_is_made_again(
    runtime: FakeRuntime, store: FullDisk, container: Container
) -> None:
    async with runtime.session(store) as session:
        ran = await run(session, container, "make")
    (store.layers / ran.rootfs.layers[-1] / "made").unlink()
    (store.layers / ran.rootfs.layers[-1]).rmdir()
    store.close()
    later = FullDisk(store.path)
    async with runtime.session(later) as session:
        ran = await run(session, container, "make")
        assert contents(session, ran.rootfs, "/made") == "run 2"


# The key.


@dataclass(frozen=True)
class Made:
    """Builds what mounts and services of the tables below are made of."""

    store: Store
    session: Session

    def files(self, beside: str = "", **files: str) -> Lazy[Snapshot]:
        """A snapshot of its own with files in the folder `d`, and one beside it."""
        return Lazy.of(snapshot(self.store, {"beside": beside, "d/": ""} | _below("d", files)))

    def secret(self, name: str, value: str) -> Secret:
        return self.session.set_secret(name, value)

    def service(self, *args: str) -> ContainerService:
        rootfs = Lazy.of(snapshot(self.store, BASE))
        return ContainerService(container=Container(platform="", rootfs=rootfs), args=args)


def _below(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


Change = Callable[[Made, Container], Container]


def mounted(make: Callable[[Made], ContainerMount]) -> Change:
    return lambda made, container: container.with_mount(make(made))


def with_env(*env: tuple[str, str]) -> Change:
    return lambda _, container: replace(container, env=env)


def with_secret(name: str, value: str, variable: str = "TOKEN") -> Change:
    return lambda made, container: replace(
        container, secrets=((variable, made.secret(name, value)),)
    )


def folder(beside: str = "", *, read_only: bool = False, at: str = "/mnt", **files: str) -> Change:
    return mounted(
        lambda made: MountedDirectory(
            target=at, source=Directory(made.files(beside, **files), "/d"), read_only=read_only
        )
    )


def file(text: str, beside: str = "") -> Change:
    return mounted(
        lambda made: MountedFile(target="/file", source=File(made.files(beside, f=text), "/d/f"))
    )


def cache(key: str, sharing: str = "SHARED") -> Change:
    return mounted(lambda _: MountedCache(target="/mnt", volume=CacheVolume(key), sharing=sharing))


def secret_file(name: str, value: str, mode: int = 0o400) -> Change:
    return mounted(
        lambda made: MountedSecret(target="/file", secret=made.secret(name, value), mode=mode)
    )


def bound(alias: str, *args: str) -> Change:
    return lambda made, container: replace(container, services=((alias, made.service(*args)),))


def changed(**fields: Any) -> Change:
    return lambda _, container: replace(container, **fields)


def user(name: str) -> Change:
    return changed(user=name)


PLAIN = changed()

SAME_RESULT = [
    pytest.param(
        with_env(("A", "1"), ("B", "2")), with_env(("B", "2"), ("A", "1")), id="env order"
    ),
    pytest.param(folder("x", a="1"), folder("y", a="1"), id="folder with the same contents"),
    pytest.param(file("1", "x"), file("1", "y"), id="file with the same contents"),
    pytest.param(with_secret("s", "old"), with_secret("s", "new"), id="secret's value"),
    pytest.param(secret_file("s", "old"), secret_file("s", "new"), id="secret file's value"),
    pytest.param(PLAIN, changed(labels=(("a", "b"),)), id="labels"),
    pytest.param(PLAIN, changed(annotations=(("a", "b"),)), id="annotations"),
    pytest.param(PLAIN, changed(ports=(Port(port=80),)), id="ports"),
    pytest.param(PLAIN, changed(entrypoint=("sh",)), id="entrypoint"),
    pytest.param(PLAIN, changed(args=("sh",)), id="default arguments"),
    pytest.param(PLAIN, changed(healthcheck=Healthcheck(args=("true",))), id="healthcheck"),
    pytest.param(PLAIN, changed(volumes=("/v",)), id="volumes of the image"),
    pytest.param(PLAIN, changed(stop_signal="TERM"), id="stop signal"),
    pytest.param(PLAIN, changed(shell=("bash",)), id="shell"),
    pytest.param(PLAIN, changed(onbuild=("RUN true",)), id="onbuild"),
    pytest.param(PLAIN, changed(volatile=(("NOW", "1"),)), id="volatile variables"),
    pytest.param(PLAIN, changed(terminal_args=("bash",)), id="terminal's command"),
    pytest.param(PLAIN, changed(image_ref="a@sha256:b"), id="image reference"),
    pytest.param(PLAIN, changed(workdir="/"), id="the working directory that is the default"),
    pytest.param(
        PLAIN, changed(registry_auth=(("r", "me", Secret("p", "slot")),)), id="registry auth"
    ),
    pytest.param(bound("db", "serve"), bound("db", "serve"), id="an equal service"),
]

OTHER_RESULT = [
    pytest.param(PLAIN, with_env(("A", "1")), id="a variable more"),
    pytest.param(with_env(("A", "1")), with_env(("A", "2")), id="variable's value"),
    pytest.param(PLAIN, user("builder"), id="user"),
    pytest.param(PLAIN, changed(workdir="/work"), id="working directory"),
    pytest.param(folder(a="1"), folder(a="2"), id="folder's contents"),
    pytest.param(folder(a="1"), folder(b="1"), id="names in a folder"),
    pytest.param(folder(a="1"), folder(a="1", read_only=True), id="read-only folder"),
    pytest.param(folder(a="1"), folder(a="1", at="/work"), id="where a folder is mounted"),
    pytest.param(file("1"), file("2"), id="file's contents"),
    pytest.param(with_secret("s", "v"), with_secret("t", "v"), id="secret's name"),
    pytest.param(with_secret("s", "v"), with_secret("s", "v", "KEY"), id="secret's variable"),
    pytest.param(PLAIN, with_secret("s", "v"), id="a secret more"),
    pytest.param(secret_file("s", "v"), secret_file("t", "v"), id="secret file's name"),
    pytest.param(secret_file("s", "v"), secret_file("s", "v", 0o444), id="secret file's mode"),
    pytest.param(cache("a"), cache("b"), id="cache volume's key"),
    pytest.param(cache("a"), cache("a", "LOCKED"), id="cache volume's sharing"),
    pytest.param(PLAIN, bound("db", "serve"), id="a service more"),
    pytest.param(bound("db", "serve"), bound("db", "serve", "fast"), id="service's command"),
    pytest.param(bound("db", "serve"), bound("web", "serve"), id="service's alias"),
]


async def runs(
    runtime: FakeRuntime, made: Made, container: Container, before: Change, after: Change
) -> int:
    """How often a command runs in a container before and after a change."""

    @runtime.program
    async def serve(process: Process) -> int:
        await asyncio.Event().wait()
        return 0

    for change in (before, after):
        await run(made.session, change(made, container), "make")
    return runtime.ran.count("make")


@pytest.mark.parametrize(("before", "after"), SAME_RESULT)
async def test_what_a_command_cannot_see_does_not_run_it_again(
    before: Change, after: Change, runtime: FakeRuntime, session: Session, container: Container
) -> None:
    made = Made(session.store, session)
    assert await runs(runtime, made, container, before, after) == 1


@pytest.mark.parametrize(("before", "after"), OTHER_RESULT)
async def test_what_a_command_can_see_runs_it_again(
    before: Change, after: Change, runtime: FakeRuntime, session: Session, container: Container
) -> None:
    made = Made(session.store, session)
    assert await runs(runtime, made, container, before, after) == 2


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(Exec(args=("make", "all")), id="arguments"),
        pytest.param(Exec(args=("make",), stdin="text"), id="standard input"),
        pytest.param(Exec(args=("make",), redirect_stdin="/etc/passwd"), id="input from a file"),
        pytest.param(Exec(args=("make",), redirect_stdout="/work/out"), id="output to a file"),
        pytest.param(Exec(args=("make",), redirect_stderr="/work/out"), id="errors to a file"),
        pytest.param(Exec(args=("make",), privileged=True), id="privileges"),
        pytest.param(Exec(args=("make",), init=False), id="init"),
        pytest.param(Exec(args=("make",), network=False), id="network"),
    ],
)
async def test_how_a_command_is_run_is_in_its_key(
    command: Exec, runtime: FakeRuntime, session: Session, container: Container
) -> None:
    for each in (Exec(args=("make",)), command, command):
        await with_exec(session, container, each).rootfs.get()
    assert len(runtime.processes) == 2


async def test_files_below_are_in_the_key(
    runtime: FakeRuntime, session: Session, store: FullDisk, container: Container
) -> None:
    other = replace(container, rootfs=Lazy.of(snapshot(store, {**BASE, "more": ""})))
    for each in (container, other):
        await run(session, each, "make")
    assert len(runtime.processes) == 2


# Mounts.


async def test_what_is_written_to_a_mount_goes_on_with_the_container(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    @runtime.program
    async def write(process: Process) -> int:
        process.path("/mnt/new").write_text("written")
        process.path("/file").write_text("too")
        return 0

    made = Made(session.store, session)
    container = file("old")(made, folder(a="1")(made, container))
    for _ in range(2):
        written = with_exec(session, container, Exec(args=("write",)))
        for path, text in (("/mnt/new", "written"), ("/mnt/a", "1"), ("/file", "too")):
            lazy, inside = written.place(path)
            assert contents(session, await lazy.get(), inside) == text
        assert await written.rootfs.get() == await container.rootfs.get()
    assert len(runtime.processes) == 1


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/mnt/a", lambda tree, at: MountedDirectory(target="/mnt", source=Directory(tree, at))),
        ("/file", lambda tree, at: MountedFile(target="/file", source=File(tree, f"{at}/a"))),
    ],
    ids=["folder", "file"],
)
async def test_mount_is_found_after_a_recalled_command_whose_equal_source_had_another_path(
    path: str,
    mount: Callable[[Lazy[Snapshot], str], ContainerMount],
    session: Session,
    store: FullDisk,
    container: Container,
) -> None:
    for name in ("one", "two"):
        tree = Lazy.of(snapshot(store, {f"{name}/a": "1"}))
        each = container.with_mount(mount(tree, f"/{name}"))
        lazy, inside = with_exec(session, each, Exec(args=("make",))).place(path)
        assert contents(session, await lazy.get(), inside) == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="mount points that are made belong to root")
async def test_mount_points_that_were_made_are_not_in_the_result(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    @runtime.program
    async def note(process: Process) -> int:
        assert process.path("/deep/down/a").read_text() == "1"
        return 0

    container = folder(a="1", at="/deep/down")(Made(session.store, session), container)
    assert (await run(session, container, "note")).rootfs == await container.rootfs.get()


# What is not remembered.


@pytest.mark.parametrize(
    ("expect", "code", "runs"),
    [
        ("SUCCESS", 0, 1),
        ("SUCCESS", 3, 0),
        ("FAILURE", 3, 1),
        ("FAILURE", 0, 0),
        ("ANY", 0, 1),
        ("ANY", 3, 1),
    ],
)
async def test_only_an_expected_end_is_remembered(
    expect: str, code: int, runs: int, runtime: FakeRuntime, session: Session, container: Container
) -> None:
    """`runs` is 0 for an end that is an error each time."""
    for _ in range(3):
        if runs:
            ran = await run(session, container, "fail", str(code), expect=expect)
            assert (ran.exit_code, ran.stdout, ran.stderr) == (code, "tried\n", "cannot\n")
            continue
        with pytest.raises(ExecError, match=f"exit code: {code}") as failed:
            await run(session, container, "fail", str(code), expect=expect)
        error = failed.value
        assert (error.exit_code, error.command) == (code, ["fail", str(code)])
        assert (error.stdout, error.stderr) == ("tried", "cannot")
    assert len(runtime.processes) == (runs or 3)


async def test_failure_that_was_allowed_is_no_success_for_who_needs_one(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    await run(session, container, "fail", "3", expect="ANY")
    with pytest.raises(ExecError):
        await run(session, container, "fail", "3")
    assert (await run(session, container, "fail", "3", expect="FAILURE")).exit_code == 3
    assert len(runtime.processes) == 2


async def test_command_that_takes_too_long_is_not_remembered(
    runtime: FakeRuntime, store: FullDisk, container: Container
) -> None:
    async with runtime.session(store, exec_seconds=1) as session:
        for _ in range(2):
            with pytest.raises(ExecError, match="time limit") as failed:
                await run(session, container, "wait", expect="ANY")
            assert (failed.value.exit_code, failed.value.stdout) == (124, "waits")
    assert len(runtime.processes) == 2


async def test_cancelled_command_is_not_remembered(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    for number in (1, 2):
        asking = asyncio.create_task(run(session, container, "wait", expect="ANY"))
        await until(lambda: len(runtime.processes) == number)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert runtime.namespaces == set()
    assert runtime.ran == ["wait", "wait"]


async def test_failure_of_the_runtime_is_not_remembered(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    @runtime.program
    async def crash(process: Process) -> int:
        if len(runtime.processes) == 1:
            raise OSError("the runtime is broken")
        return 0

    with pytest.raises(OSError, match="broken"):
        await run(session, container, "crash")
    assert (await run(session, container, "crash")).exit_code == 0


async def test_full_disk_at_the_end_of_a_command_loses_nothing_that_was_finished(
    runtime: FakeRuntime, session: Session, store: FullDisk, container: Container
) -> None:
    done = with_exec(session, container, Exec(args=("make",)))
    before = await done.rootfs.get()
    remembered, layers = sorted(store.memo.rglob("*")), sorted(store.layers.iterdir())
    store.full = True
    with pytest.raises(OSError, match="No space left"):
        await run(session, done, "make", "more")
    assert (sorted(store.memo.rglob("*")), sorted(store.layers.iterdir())) == (remembered, layers)
    assert (await run(session, container, "make")).rootfs == before
    store.full = False
    await run(session, done, "make", "more")
    assert runtime.ran == ["make", "make more", "make more"]


# Who waits.


async def test_all_who_ask_for_one_command_share_its_run(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    made = with_exec(session, container, Exec(args=("make",)))
    assert made.ran is not None
    found = await asyncio.gather(*(made.ran.get() for _ in range(5)), made.rootfs.get())
    assert {ran.stdout for ran in found[:-1] if isinstance(ran, Ran)} == {"made\n"}
    assert runtime.ran == ["make"]


async def test_equal_commands_at_the_same_time_run_once(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    labelled = replace(container, labels=(("made", "elsewhere"),))
    found = await asyncio.gather(*(run(session, each, "make") for each in (container, labelled)))
    assert found[0] == found[1]
    assert runtime.ran == ["make"]
    assert session.performing == {}


async def test_equal_command_goes_on_for_who_still_waits_and_fails_for_all(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    go = asyncio.Event()

    @runtime.program
    async def slow(process: Process) -> int:
        await go.wait()
        return 3

    first, *others = (asyncio.create_task(run(session, container, "slow")) for _ in range(3))
    await until(lambda: runtime.ran == ["slow"])
    first.cancel()
    await settle()
    go.set()
    for each in others:
        with pytest.raises(ExecError):
            await each
    with pytest.raises(ExecError):
        await run(session, container, "slow")
    assert runtime.ran == ["slow", "slow"]


async def test_command_is_not_shared_by_those_who_expect_different_ends(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    any_end = run(session, container, "fail", "3", expect="ANY")
    found = await asyncio.gather(
        any_end, run(session, container, "fail", "3"), return_exceptions=True
    )
    assert isinstance(found[0], Ran)
    assert isinstance(found[1], ExecError)


async def test_last_who_waits_ends_the_command_and_no_one_before(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    ended = []

    @runtime.program
    async def slow(process: Process) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)  # a command may take its time
            ended.append(process)
        return 0

    made = with_exec(session, container, Exec(args=("slow",)))
    waiting = [asyncio.create_task(made.rootfs.get()) for _ in range(3)]
    await until(lambda: runtime.ran == ["slow"])
    for each in waiting[:2]:
        each.cancel()
    await settle()
    assert (ended, len(runtime.namespaces)) == ([], 1)
    waiting[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[2]
    assert ended == runtime.processes
    assert runtime.namespaces == set()


async def test_commands_that_do_not_need_each_other_run_side_by_side(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    meeting = asyncio.Barrier(3)

    @runtime.program
    async def meet(process: Process) -> int:
        await meeting.wait()
        return 0

    async with asyncio.timeout(60):
        await asyncio.gather(*(run(session, container, "meet", name) for name in "abc"))


# What is told.


def told(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]


async def test_events_tell_what_ran_and_why(
    session: Session, container: Container, tmp_path: Path
) -> None:
    await run(session, container, "make")
    await run(session, container, "make")
    await run(session, replace(container, env=(("A", "1"),)), "make")
    for _ in range(2):
        with pytest.raises(ExecError):
            await run(session, container, "fail", "3")
    events = told(tmp_path)
    assert {tuple(event["args"]) for event in events} == {("make",), ("fail", "3")}
    assert [(event["cached"], event.get("because")) for event in events] == [
        (False, [NEW]),
        (True, None),
        (False, ["variable A"]),
        (False, [NEW]),
        (False, [SAME]),
    ]
    assert all("seconds" in event for event in events if not event["cached"])


async def test_secrets_are_in_nothing_that_is_kept_or_told(
    runtime: FakeRuntime, session: Session, container: Container, tmp_path: Path
) -> None:
    @runtime.program
    async def leak(process: Process) -> int:
        for part in (process.env["TOKEN"], process.path("/file").read_text()):
            process.out(f"{part[:4]}")
            await asyncio.sleep(0)
            process.out(f"{part[4:]}\n")
            process.err(f"{part}\n" * 20_000)
        return len(process.args) - 2

    made = Made(session.store, session)
    container = secret_file("f", "correct horse")(
        made, with_secret("s", "hunter22")(made, container)
    )
    ran = await run(session, container, "leak", "hunter22")
    assert ran.stdout == "***\n***\n"
    with pytest.raises(ExecError) as failed:
        await run(session, container, "leak", "hunter22", "fails")
    error = failed.value
    assert error.command == ["leak", "***", "fails"]
    assert error.stdout == "***\n***"
    assert "***" in error.stderr
    await until(lambda: not runtime.namespaces)  # the first run let go of its files
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "stderr" for path in kept)
    for word in (b"hunter22", b"correct horse"):
        assert [path for path in kept if word in path.read_bytes()] == []


# How it is prepared.


async def test_command_gets_what_its_container_has(
    runtime: FakeRuntime, session: Session, store: FullDisk, container: Container
) -> None:
    container = replace(
        container,
        env=(("A", "1"), ("HOME", "/elsewhere")),
        volatile=(("B", "2"),),
        user="builder",
        workdir="/work",
        secrets=(("TOKEN", session.set_secret("s", "v")),),
    )
    await run(session, container, "make", stdin="text")
    [process] = runtime.processes
    assert {"A": "1", "B": "2", "HOME": "/elsewhere", "TOKEN": "v"}.items() <= process.env.items()
    meta = process.meta
    assert (meta.uid, meta.gid, meta.cwd, process.stdin) == (7, 7, "/work", b"text")


async def test_unknown_user_keeps_a_command_from_running(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    session.set_secret("s", "hunter22")
    with pytest.raises(ExecError, match="unable to find user nobody") as failed:
        await run(session, replace(container, user="nobody"), "make", "hunter22")
    assert (failed.value.exit_code, failed.value.command) == (-1, ["make", "***"])
    assert (runtime.processes, runtime.namespaces) == ([], set())


async def test_redirected_streams_are_files_of_the_result(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    redirected = {"redirect_stdout": "/work/out", "redirect_stderr": "err"}
    container = replace(container, workdir="/work")
    ran = await run(session, container, "fail", "3", expect="ANY", **redirected)
    assert contents(session, ran.rootfs, "/work/out") == "tried\n"
    assert contents(session, ran.rootfs, "/work/err") == "cannot\n"


async def test_cache_volume_outlives_its_commands_and_is_locked_on_demand(
    runtime: FakeRuntime, session: Session, container: Container
) -> None:
    inside = 0

    @runtime.program
    async def append(process: Process) -> int:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.03)
        with process.path("/mnt/log").open("a") as log:
            log.write("x")
        inside -= 1
        return 0

    container = cache("log", "LOCKED")(Made(session.store, session), container)
    await asyncio.gather(*(run(session, container, "append", name) for name in "abc"))
    assert (session.store.volume("log") / "log").read_text() == "xxx"


async def test_a_secret_of_a_letter_spoils_no_command_that_is_told(session: Session) -> None:
    session.set_secret("letter", "x")
    session.set_secret("pin", "1234")
    assert session.without_secrets(["exit", "--pin=1234"]) == ["exit", "--pin=***"]
