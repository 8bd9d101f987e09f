"""What an engine does is shown as lines, in bounded memory, and nobody waits for the reader."""

from __future__ import annotations

import asyncio
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import progress as progress_module
from engine.command import Exec
from engine.errors import ExecError
from engine.execution import with_exec
from engine.lazy import Lazy
from engine.model import Container
from engine.progress import Progress
from engine.store import Store
from tests.engine.fake_runtime import FakeRuntime, Process, snapshot
from tests.engine.machine import wait_until

FILES = {name: "" for name in ("etc/hosts", "etc/resolv.conf", "etc/passwd")}


class Shown:
    """A progress, and all that it has written."""

    def __init__(self, *, reading: bool = True) -> None:
        self._read, self.write = os.pipe()
        self.progress = Progress(self.write)
        self._data = bytearray()
        self._reader = threading.Thread(target=self._run)
        if reading:
            self._reader.start()

    def _run(self) -> None:
        while data := os.read(self._read, 1 << 16):
            self._data += data

    def lines(self) -> list[str]:
        """What was written, without times."""
        if not self._reader.is_alive():
            self._reader.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(progress_module, "_CLOSING_SECONDS", 60)  # somebody reads: all is written
            self.progress.close()
        os.close(self.write)
        self._reader.join()
        os.close(self._read)
        return re.sub(r"\d+\.\ds\]", "s]", self._data.decode()).splitlines()


@pytest.fixture
def unread() -> Iterator[tuple[Progress, int]]:
    """A progress into a pipe that nobody reads, and the pipe's other end."""
    read, write = os.pipe()
    yield Progress(write), read
    os.close(write)


def test_command_is_told_with_its_output_and_its_end() -> None:
    shown = Shown()
    with shown.progress.task(["sh", "-c", "make all"]) as first:
        first.hear(b"one\ntw")
        with pytest.raises(ExecError), shown.progress.task(["false"]) as second:
            second.hear(b"no\n")
            raise ExecError("exit code: 1", command=[], exit_code=1, stdout="", stderr="")
        first.hear(b"o\nrest")
    shown.progress.cached(["echo", "x" * 200])
    shown.progress.note("a word")
    assert shown.lines() == [
        "1   : sh -c 'make all'",
        "1   : [s] | one",
        "2   : false",
        "2   : [s] | no",
        "2   : false ERROR [s]: exit code: 1",
        "1   : [s] | two",
        "1   : [s] | rest",
        "1   : sh -c 'make all' DONE [s]",
        f"3   : echo {'x' * 94}… CACHED",
        "4   : a word",
    ]


async def _given_up(progress: Progress) -> None:
    with progress.task(["sleep"]):
        await asyncio.Event().wait()


def test_command_that_is_given_up_is_no_error() -> None:
    shown = Shown()

    async def give_up() -> None:
        work = asyncio.create_task(_given_up(shown.progress))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(give_up())
    assert shown.lines() == ["1   : sleep", "1   : sleep CANCELED [s]"]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        pytest.param(b"\x1b[31mred\x1b[0m \x1b]0;t", "red 0;t", id="escape sequences"),
        pytest.param(b"10%\r50%\r100%\r", "100%", id="a bar"),
        pytest.param(b"tab\there\x07\x00", "tab\there", id="controls"),
        pytest.param("\xe9 \xff".encode("latin-1"), "� �", id="no UTF-8"),
    ],
)
def test_output_does_nothing_to_the_terminal(written: bytes, line: str) -> None:
    shown = Shown()
    with shown.progress.task(["x"]) as task:
        task.hear(written + b"\n")
    assert shown.lines()[1] == f"1   : [s] | {line}"


def test_line_without_end_is_cut() -> None:
    shown = Shown()
    with shown.progress.task(["x"]) as task:
        task.hear(b"a" * 10_000)
        task.hear(b"b\n")
    assert [len(line) for line in shown.lines()[1:5]] == [12 + 4096, 12 + 4096, 12 + 1808, 13]


def test_what_is_told_during_a_write_is_shown_though_the_engine_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_module, "_CLOSING_SECONDS", 0)
    shown = Shown(reading=False)
    for _ in range(1_000):
        shown.progress.note("x" * 90)
    # The pipe is full: the write goes on until somebody reads.
    assert wait_until(lambda: not select.select([], [shown.write], [], 0)[1], 60)
    shown.progress.note("last")
    shown.progress.close()
    assert shown.lines()[-1] == "1001 : last"


def test_of_very_much_output_a_part_is_shown_and_the_rest_counted() -> None:
    shown = Shown()
    block = b"0123456\n" * 16_384
    with shown.progress.task(["yes"]) as task:
        started = time.thread_time()  # of this thread alone, whatever else the machine does
        for _ in range(2_000):  # 262 MB
            task.hear(block)
        assert time.thread_time() - started < 5
    lines = shown.lines()
    assert len(lines) < 300_000
    left_out = sum(int(line.split("(")[1].split()[0]) for line in lines if "not shown" in line)
    assert left_out + sum("| 0123456" in line for line in lines) == 2_000 * 16_384


def test_nobody_waits_for_a_reader_that_does_not_read(unread: tuple[Progress, int]) -> None:
    progress, read = unread
    started = time.monotonic()
    for number in range(30_000):
        progress.note(f"{number} {'x' * 90}")  # 3 MB
    progress.close()
    assert time.monotonic() - started < 60  # who waits for the reader waits for ever
    os.close(read)


def test_reader_that_went_away_is_no_error(unread: tuple[Progress, int]) -> None:
    progress, read = unread
    os.close(read)
    for _ in range(3):
        progress.note("x")
        time.sleep(0.05)
    progress.close()


@pytest.mark.anyio
async def test_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    machine, store = FakeRuntime(), Store(tmp_path / "store")

    @machine.program
    async def tell(process: Process) -> int:
        process.out(f"it is {process.env['PW']}\n")
        return 0

    async with machine.session(store) as session:
        secret = session.set_secret("password", "hunter2")
        container = Container(
            platform="linux/amd64",
            rootfs=Lazy.of(snapshot(store, FILES)),
            secrets=(("PW", secret),),
        )
        made = with_exec(session, container, Exec(args=("tell", "hunter2")))
        assert made.ran is not None
        await made.ran.get()
    told = capfd.readouterr().err
    assert "tell '***'" in told and "| it is ***" in told
    assert "hunter2" not in told
