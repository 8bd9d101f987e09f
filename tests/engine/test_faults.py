"""Ends of every kind: whatever is killed, nothing is left running and the next run works."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine import program
from tests.engine.machine import Footprint, Process, family, footprint, survivors, wait_until

pytestmark = pytest.mark.engine

SECONDS = 30
"""How long an engine may take to end: it may tidy its store first, for a third of that."""

BUSY = """
service = fresh(tiny()).as_service(args=["sleep", "70001"])
await service.start()
async with anyio.create_task_group() as group:
    group.start_soon(sh(fresh(tiny()), "echo running; sleep 70002; echo done").sync)
    await anyio.sleep(0)
    print("busy", flush=True)
    {then}
"""
WAIT = "await anyio.sleep(60)"
TOLD = "await anyio.to_thread.run_sync(sys.stdin.readline)"
FAIL = f"{TOLD}; raise RuntimeError('the program fails')"
LEAVE = f"{TOLD}; group.cancel_scope.cancel()"


@pytest.fixture(scope="module")
def env(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store of these tests' own, which every killed engine leaves to the next."""
    store = tmp_path_factory.mktemp("faults") / "store"
    return {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(store)}


@pytest.fixture(autouse=True)
def unchanged_machine() -> Iterator[Footprint]:
    """Fails a test that leaves mounts, namespaces, links or rules behind."""
    before = footprint()
    yield before
    assert footprint() == before


def named(processes: list[Process], words: str) -> Process:
    """The first process whose command has these words."""
    return next(process for process in processes if words in process.command)


def busy(running: subprocess.Popen[str]) -> list[Process]:
    """All processes of a program and its engine, once its exec and its service run."""
    found: list[Process] = []

    def ready() -> bool:
        found[:] = family(running.pid)
        commands = [process.command for process in found]
        return {"sleep 70001 ", "sleep 70002 "} <= set(commands)

    if not wait_until(ready, 90):
        running.kill()
        raise AssertionError(running.communicate())
    return found


ENDS = [
    pytest.param(WAIT, lambda p, _: p.kill(), id="kill -9 of the program"),
    pytest.param(
        WAIT, lambda p, _: p.terminate(), marks=pytest.mark.slow, id="TERM to the program"
    ),
    pytest.param(WAIT, lambda p, _: os.killpg(p.pid, signal.SIGINT), id="Ctrl-C"),
    pytest.param(
        WAIT,
        lambda p, _: _interrupt_twice(p),
        marks=pytest.mark.slow,
        id="Ctrl-C twice",
    ),
    pytest.param(
        WAIT,
        lambda p, _: os.killpg(p.pid, signal.SIGTERM),
        marks=pytest.mark.slow,
        id="TERM to the group",
    ),
    pytest.param(
        WAIT,
        lambda p, _: os.killpg(p.pid, signal.SIGHUP),
        marks=pytest.mark.slow,
        id="closed terminal",
    ),
    pytest.param(
        WAIT, lambda _, f: os.kill(named(f, "unshare ").pid, 9), id="kill -9 of the engine's keeper"
    ),
    pytest.param(
        WAIT,
        lambda _, f: os.kill(named(f, "catatonit ").pid, 9),
        marks=pytest.mark.slow,
        id="kill -9 of the engine's init",
    ),
    pytest.param(
        WAIT,
        lambda _, f: os.kill(_engine(f).pid, 9),
        marks=pytest.mark.slow,
        id="kill -9 of the engine",
    ),
    pytest.param(FAIL, lambda p, _: _tell(p), id="an exception in the program"),
    pytest.param(LEAVE, lambda p, _: _tell(p), marks=pytest.mark.slow, id="a cancelled program"),
]


def _tell(running: subprocess.Popen[str]) -> None:
    """Let a program go on that waits for it."""
    print(file=running.stdin, flush=True)


def _interrupt_twice(running: subprocess.Popen[str]) -> None:
    os.killpg(running.pid, signal.SIGINT)
    time.sleep(0.2)
    try:
        os.killpg(running.pid, signal.SIGINT)
    except ProcessLookupError:
        pass


def _engine(processes: list[Process]) -> Process:
    return next(p for p in processes if "engine.start" in p.command and "python" == _name(p))


def _name(process: Process) -> str:
    return Path(process.command.split()[0]).name[:6]


@pytest.mark.parametrize(("then", "end"), ENDS)
def test_nothing_is_left_after(
    then: str,
    end: Callable[[subprocess.Popen[str], list[Process]], object],
    engine_bin: Path,
    env: dict[str, str],
) -> None:
    with program.started(BUSY.format(then=then), engine_bin, env) as running:
        processes = busy(running)
        engines = processes[1:]
        assert len({process.network for process in engines}) >= 3  # ours and two containers
        end(running, processes)
        assert not survivors(engines, SECONDS)


def test_nothing_is_left_after_a_normal_end(engine_bin: Path, env: dict[str, str]) -> None:
    body = """
    service = fresh(tiny()).as_service(args=["sleep", "70001"])
    await service.start()
    print(await sh(fresh(tiny()), "echo hello").stdout(), end="")
    print("ready", flush=True)
    sys.stdin.readline()
    """
    with program.started(body, engine_bin, env) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline(), running.stdout.readline()]
        assert lines == ["hello\n", "ready\n"]
        processes = family(running.pid)
        assert "sleep 70001 " in [process.command for process in processes]
        out, err = running.communicate(timeout=SECONDS)
        assert (running.returncode, out, program.complaints(err)) == (0, "", "")
        assert not survivors(processes, 0)
    store = Path(env["BREWLINE_STORE"])
    assert not list(store.glob("tmp/*"))


def test_killed_runtime_fails_the_exec_and_ends_its_command(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
    try:
        await sh(fresh(tiny()), "sleep 70002").sync()
    except dagger.ExecError as error:
        print("exit", error.exit_code)
    print(await sh(fresh(tiny()), "echo works").stdout(), end="")
    """
    with program.started(body, engine_bin, env) as running:
        found: list[Process] = []

        def started() -> bool:
            found[:] = [p for p in family(running.pid)[1:] if "70002" in p.command]
            return any(process.command == "sleep 70002 " for process in found)

        assert wait_until(started, 120)
        runtime = next(p for p in family(running.pid) if p.command.startswith("crun "))
        os.kill(runtime.pid, 9)
        assert not survivors(found, SECONDS)
        out, err = running.communicate(timeout=120)
        assert (out, program.complaints(err)) == ("exit 137\nworks\n", "")


@pytest.mark.slow
def test_command_that_ignores_the_end_is_killed_in_time(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = f"""
    async with anyio.create_task_group() as group:
        group.start_soon(sh(fresh(tiny()), "trap '' TERM; while :; do sleep 70003; done").sync)
        {TOLD}
        group.cancel_scope.cancel()
    print("cancelled", flush=True)
    {TOLD}
    """
    with program.started(body, engine_bin, env) as running:
        assert running.stdout is not None
        assert wait_until(
            lambda: any(p.command == "sleep 70003 " for p in family(running.pid)), 120
        )
        _tell(running)
        assert running.stdout.readline() == "cancelled\n"
        commands = [p for p in family(running.pid)[1:] if "70003" in p.command]
        assert commands
        assert not survivors(commands, 20)


def test_cancelled_command_may_end_in_good_order(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    body = """
    volume = dag.cache_volume("orderly")
    ctr = tiny().with_mounted_cache("/v", volume)
    script = "trap 'echo tidy > /v/end; exit 0' TERM; echo x > /v/begun; sleep 70004 & wait"
    async with anyio.create_task_group() as group:
        group.start_soon(sh(fresh(ctr), script).sync)
        await sh(fresh(ctr), "until [ -e /v/begun ]; do sleep 0.1; done").sync()
        group.cancel_scope.cancel()
    ended = "until [ -s /v/end ]; do sleep 0.1; done; cat /v/end"
    print(await sh(fresh(ctr), ended).stdout())
    """
    assert program.run(body, engine_bin, env).stdout == "tidy\n\n"


@pytest.mark.slow
def test_exec_that_two_wait_for_survives_the_end_of_one(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
    ran = sh(fresh(tiny()), "sleep 3; echo done")
    async with anyio.create_task_group() as group:
        async def impatient():
            with anyio.move_on_after(1):
                await ran.sync()
            print("gave up", flush=True)
        group.start_soon(impatient)
        print(await ran.stdout(), end="")
    """
    assert program.run(body, engine_bin, env).stdout == "gave up\ndone\n"


def test_session_without_a_client_ends_at_once(engine_bin: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        [engine_bin, "session"],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
