"""Much output, long commands and commands that do not want to end: each has a bound."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine import watch
from engine.session import Session
from tests.engine import program
from tests.engine.machine import Process, family, survivors, wait_until
from tests.engine.wire import peak_megabytes

MOST_MEGABYTES = 250
SECONDS = 20
"""How long a command may live on that nobody waits for any more: its grace, and much more."""
ENGINE = f"{sys.executable} -P -m engine.start"


@pytest.fixture(scope="module")
def env(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store of these tests' own."""
    store = tmp_path_factory.mktemp("limits") / "store"
    return {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(store)}


def said_and_peak(body: str, engine: Path, env: dict[str, str]) -> tuple[list[str], float]:
    """The lines that a program writes, and the megabytes that its engine had at most."""
    waiting = body + 'print("END", flush=True)\nsys.stdin.readline()\n'
    with program.started(waiting, engine, env) as running:
        assert running.stdout is not None
        lines: list[str] = []
        while (line := running.stdout.readline()) not in ("END\n", ""):
            lines.append(line.rstrip("\n"))
        assert line, running.communicate()[1]
        peak = max(peak_megabytes(process.pid) for process in family(running.pid)[1:])
        out, err = running.communicate("\n", timeout=60)
    assert (out, program.complaints(err)) == ("", "")
    return lines, peak


OUTPUT = """
ran = sh(fresh(tiny()), "{script}", redirect_stdout="/out")
print(await ran.file("/out").size())
try:
    print(len(await ran.stdout()))
except dagger.QueryError as error:
    print(type(error).__name__, error)
print(await sh(ran, "echo goes on").stdout(), end="")
try:
    await sh(fresh(tiny()), "{script}; echo; echo last; exit 3").stdout()
except dagger.ExecError as error:
    print(error.exit_code, len(error.stdout), error.stdout[:33], error.stdout[-4:])
"""


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("head -c 1000000000 /dev/zero", id="one line"),
        pytest.param("yes a line of a log | head -c 1000000000", id="lines"),
    ],
)
def test_gigabyte_of_output_takes_little_memory(
    script: str, engine_bin: Path, env: dict[str, str]
) -> None:
    lines, peak = said_and_peak(OUTPUT.format(script=script), engine_bin, env)
    size, refused, after, failed = lines
    assert size == "1000000000"
    assert refused.startswith("QueryError the stdout of 1000000000 bytes exceeds the limit")
    assert after == "goes on"
    assert failed.startswith("3 ") and " [omitting 9998976" in failed and failed.endswith("last")
    assert peak < MOST_MEGABYTES


@pytest.mark.engine
@pytest.mark.slow
def test_longest_output_that_is_answered_takes_little_memory(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
    ran = sh(fresh(tiny()), "head -c 134217722 /dev/zero; echo error >&2")
    for text in (await ran.stdout(), await ran.combined_output(), await ran.stderr()):
        print(len(text), set(text) - set("\\0eror\\n"))
    """
    lines, peak = said_and_peak(body.replace("\n    ", "\n"), engine_bin, env)
    assert lines[:2] == ["134217722 set()", "134217728 set()"]
    assert lines[2] == "6 set()"
    assert peak < MOST_MEGABYTES


@pytest.mark.engine
def test_long_output_is_the_same_when_it_is_remembered(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
ran = sh(tiny(), 'yes "é é é" | head -n 30000; echo e >&2')
out, err, both = await ran.stdout(), await ran.stderr(), await ran.combined_output()
assert set(out.split("\\n")) == {"é é é", ""}, set(out.split("\\n"))
assert (len(out.split("\\n")), err, sorted(both)) == (30001, "e\\n", sorted(out + err))
"""
    events = Path(env["BREWLINE_STORE"]).with_name("remembered")
    for _ in range(2):
        done = program.run(body, engine_bin, {**env, "BREWLINE_EVENTS": str(events)})
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line["cached"] for line in told if line["event"] == "exec"] == [False, True]


@pytest.mark.engine
@pytest.mark.slow
def test_service_that_writes_a_gigabyte_takes_little_memory(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
service = fresh(tiny()).as_service(args=["sh", "-c", "head -c 1000000000 /dev/zero; sleep 70006"])
await service.start()
print("begun", flush=True)
sys.stdin.readline()
"""
    with program.started(body, engine_bin, env) as running:
        assert running.stdout is not None and running.stdout.readline() == "begun\n"

        def written() -> bool:
            return any(p.command == "sleep 70006 " for p in family(running.pid))

        assert wait_until(written, 60)
        peak = max(peak_megabytes(process.pid) for process in family(running.pid)[1:])
    assert peak < MOST_MEGABYTES


TIMED = """
for _ in range(2):
    try:
        await sh({container}, "echo begun; echo x >> /v/runs; exec sleep 70007", {options}).stdout()
    except dagger.ExecError as error:
        print(error.exit_code, error.stdout, error)
print(await sh(fresh(volume), "cat /v/runs").stdout(), end="")
"""


@pytest.mark.engine
def test_command_that_takes_too_long_is_ended_and_nothing_of_it_remembered(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
volume = tiny().with_mounted_cache("/v", dag.cache_volume(str(time.time_ns())))
slow = fresh(volume)
""" + TIMED.format(container="slow", options="expect=dagger.ReturnType.ANY")
    done = program.run(body, engine_bin, {**env, "BREWLINE_EXEC_TIMEOUT": "5"})
    first, second, *runs = done.stdout.splitlines()
    assert first == second
    assert first.startswith("124 begun no end after 5 s")
    assert "BREWLINE_EXEC_TIMEOUT" in first
    assert runs == ["x", "x"]


@pytest.mark.engine
def test_failed_command_is_run_again(engine_bin: Path, env: dict[str, str]) -> None:
    body = """
volume = tiny().with_mounted_cache("/v", dag.cache_volume(str(time.time_ns())))
failing = fresh(volume).with_exec(["sh", "-c", "echo x >> /v/runs; exit 7"])
for _ in range(3):
    try:
        await failing.sync()
    except dagger.ExecError as error:
        print(error.exit_code)
print(await sh(fresh(volume), "cat /v/runs").stdout(), end="")
"""
    done = program.run(body, engine_bin, env)
    assert done.stdout.split() == ["7", "7", "7", "x", "x", "x"], done


@pytest.mark.parametrize(
    ("value", "message"),
    [("1h", "write seconds"), ("-1", "write seconds"), ("nan", "write seconds")],
)
@pytest.mark.engine
def test_time_limit_that_cannot_be_meant_keeps_the_engine_from_starting(
    value: str, message: str, engine_bin: Path, env: dict[str, str]
) -> None:
    done = program.run("pass", engine_bin, {**env, "BREWLINE_EXEC_TIMEOUT": value})
    assert done.returncode
    assert f"BREWLINE_EXEC_TIMEOUT is '{value}': {message}" in done.stderr


class Told:
    """A session that notes what it is told."""

    def __init__(self, seconds: float | None) -> None:
        self.settings = SimpleNamespace(exec_seconds=seconds)
        self.events: list[dict[str, object]] = []

    def without_secrets(self, words: list[str]) -> list[str]:
        return [word.replace("hunter2", "***") for word in words]

    def event(self, kind: str, **facts: object) -> None:
        self.events.append({"event": kind, **facts})


@pytest.mark.anyio
async def test_long_command_is_told_of_again_and_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT_SECONDS", 1)
    session = Told(None)
    async with watch.watched(cast(Session, session), ["pip", "install", "hunter2 " + "x" * 200]):
        async with asyncio.timeout(60):
            while len(session.events) < 2:
                await asyncio.sleep(0.01)
    told = len(session.events)
    await asyncio.sleep(1.5)
    assert len(session.events) == told
    lines = capsys.readouterr().err.splitlines()
    assert [line[:40] for line in lines[:2]] == [
        "still running after 1 s: pip install '**",
        "still running after 2 s: pip install '**",
    ]
    assert max(map(len, lines)) < 140
    assert [event["seconds"] for event in session.events[:2]] == [1, 2]


@pytest.mark.anyio
async def test_time_limit_of_something_else_is_not_taken_for_ours() -> None:
    with pytest.raises(TimeoutError):
        async with watch.watched(cast(Session, Told(60)), ["sleep"]):
            raise TimeoutError
    with pytest.raises(watch.TimeOver, match="no end after 0.1 s"):
        async with watch.watched(cast(Session, Told(0.1)), ["sleep"]):
            await asyncio.sleep(5)


@pytest.mark.engine
@pytest.mark.slow
def test_engine_tells_of_a_command_that_takes_long(engine_bin: Path, env: dict[str, str]) -> None:
    body = """
secret = dag.set_secret("word", "hunter2")
await sh(fresh(tiny()).with_secret_variable("S", secret), "sleep 31; : hunter2").sync()
"""
    events = Path(env["BREWLINE_STORE"]).with_name("heartbeat")
    done = program.run(body, engine_bin, {**env, "BREWLINE_EVENTS": str(events)})
    assert done.stderr == "still running after 30 s: sh -c 'sleep 31; : ***'\n"
    assert "hunter2" not in events.read_text()
    [line] = [
        event
        for event in map(json.loads, events.read_text().splitlines())
        if event["event"] == "running"
    ]
    assert (line["seconds"], line["args"][0]) == (30, "sh")


STUBBORN = {
    "ignores TERM": "trap '' TERM; while :; do sleep 70008; done",
    "children ignore TERM": "(trap '' TERM; while :; do sleep 70008; done) & sleep 70008",
    "daemons": "(trap '' TERM HUP; sleep 70008 & sleep 70008 &) ; exec sleep 70008",
    "is stopped": "sleep 70008 & kill -STOP $$",
    "all are stopped": 'sleep 70008 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; '
    "kill -STOP $!; kill -STOP $$",
    "writes and writes": ": 70008; yes",
    "writes at its end": "trap 'yes; sleep 70008' TERM; sleep 70008 & wait",
    "makes children": "trap '' TERM; while :; do (trap '' TERM; sleep 70008) & sleep 0.05; done",
}


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [pytest.param("", id="init"), pytest.param("no_init=True", id="no init")]
)
def test_command_that_does_not_want_to_end_is_ended_in_time(
    options: str, engine_bin: Path, env: dict[str, str]
) -> None:
    # The first process of a namespace cannot stop itself.
    scripts = [script for script in STUBBORN.values() if not (options and "STOP" in script)]
    body = f"""
scripts = {scripts}
async with anyio.create_task_group() as group:
    for script in scripts:
        ran = fresh(tiny()).with_exec(["sh", "-c", script], {options})
        group.start_soon(ran.sync)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    group.cancel_scope.cancel()
print("cancelled", flush=True)
await anyio.to_thread.run_sync(sys.stdin.readline)
print(await sh(fresh(tiny()), "echo goes on").stdout())
"""
    with program.started(body, engine_bin, env) as running:
        assert running.stdin is not None and running.stdout is not None
        found: list[Process] = []

        def all_run() -> bool:
            # By then each shell has set its traps.
            found[:] = [p for p in family(running.pid) if p.command in ("sleep 70008 ", "yes ")]
            return len({p.pids for p in found}) == len(scripts)

        assert wait_until(all_run, 120), found
        print(file=running.stdin, flush=True)
        assert running.stdout.readline() == "cancelled\n"
        started = [p for p in family(running.pid)[1:] if "70008" in p.command or "yes" in p.command]
        assert started
        assert not survivors(started, SECONDS)
        assert not [p for p in family(running.pid)[1:] if "70008" in p.command]
        out, err = running.communicate("\n", timeout=120)
        assert (out, program.complaints(err)) == ("goes on\n\n", "")


@pytest.mark.engine
@pytest.mark.slow
def test_command_cancelled_at_any_moment_leaves_nothing(
    engine_bin: Path, env: dict[str, str]
) -> None:
    seed = random.randrange(1 << 30)
    body = f"""
import random
chance = random.Random({seed})
await sh(fresh(tiny()), "true").sync()
for _ in range(60):
    with anyio.move_on_after(chance.uniform(0, 0.06)):
        await sh(fresh(tiny()), "exec sleep 70009").sync()
print("done", flush=True)
sys.stdin.readline()
"""
    with program.started(body, engine_bin, env) as running:
        assert running.stdout is not None and running.stdout.readline() == "done\n"

        def gone() -> bool:
            words = ("70009", "crun ")
            return not [p for p in family(running.pid)[1:] if any(w in p.command for w in words)]

        assert wait_until(gone, SECONDS), [seed, *family(running.pid)]
        engine = next(p.pid for p in family(running.pid) if p.command.startswith(ENGINE))
        # It unmounts them when their command is gone.
        assert wait_until(lambda: _overlays(engine) == 0, SECONDS), f"seed {seed}"
        out, err = running.communicate("\n", timeout=120)
        assert (out, program.complaints(err)) == ("", "")


def _overlays(pid: int) -> int:
    return Path(f"/proc/{pid}/mountinfo").read_text().count(" overlay ")
