"""Random kills in a row: whatever dies and when, nothing is left and the next engine works."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine import light
from tests.engine.connection import ROOT
from tests.engine.integrity import Integrity
from tests.engine.machine import Process, family, footprint, processes, wait_until

pytestmark = pytest.mark.engine

LIFE = 1.8
"""Seconds from a program's start to a little after its end: a kill may come at any of them."""
END = 60
"""Seconds in which a program ends that nobody killed."""
SECONDS = 30
"""Seconds in which what was started must be gone: its store may be tidied for a third of them."""

VICTIMS = (
    r"\S*python\S* -m tests\.",
    r"\S*python\S* .*-m engine",
    "unshare ",
    "catatonit ",
    "crun ",
    "/dev/init ",
    "sh -c",
    "slirp4netns",
    "",
)
"""Starts of the commands that are killed: of a program, of its engine, and of all else."""


class Rounds:
    """Programs on one store, of which one after the other has something killed."""

    def __init__(self, engine: Path, root: Path, store: Path, seed: int) -> None:
        self._chance = random.Random(seed)
        self._name = f"seed {seed}".replace(" ", "-")
        self._engine = engine
        self._root = root
        self._store = store
        # So small that tidying always finds something to prune.
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BREWLINE_STORE": str(store),
            "BREWLINE_STORE_SIZE": "8MB",
        }
        self._before = footprint()
        self._integrity = Integrity(store, "copy", light.is_whole)

    @contextmanager
    def _started(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", *command],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _program(self, name: str) -> list[str]:
        return ["tests.engine.light", str(self._engine), str(self._root), name]

    def kill(self, number: int) -> str:
        """One round; what was killed."""
        name = f"{self._name}-{number}"
        with self._started(*self._program(name)) as running:
            if self._chance.random() < 0.25:
                with self._started(*self._program(name)) as other, self._started("engine", "tidy"):
                    victim = self._kill_in(running)
                    self.check_answers(other, name)
            elif self._chance.random() < 0.3:
                with self._started("engine", "tidy") as tidying:
                    time.sleep(self._chance.uniform(0, 0.4))
                    tidying.kill()
                    victim = self._kill_in(running)
            else:
                victim = self._kill_in(running)
            running.communicate(timeout=END)
        assert self._integrity.damage() == [], victim
        assert footprint() == self._before, victim
        return victim

    def _kill_in(self, running: subprocess.Popen[str]) -> str:
        time.sleep(self._chance.uniform(0, LIFE))
        everyone = family(running.pid)
        start = self._chance.choice(VICTIMS)
        found = [process for process in everyone if re.match(start, process.command)] or everyone
        if not found:
            return "nothing: it had ended"
        victim = self._chance.choice(found)
        try:
            os.kill(victim.pid, 9)
        except ProcessLookupError:
            return f"nothing: {victim.command} had ended"
        killed = time.clock_gettime(time.CLOCK_BOOTTIME)
        # The engine ends by itself only if its program does: its end is not what is tested then.
        running.communicate(timeout=END)
        own = {process.pids for process in everyone} - {everyone[0].pids}

        def left() -> list[Process]:
            # A namespace's number may be another's by now.
            ticks = (killed + 1) * os.sysconf("SC_CLK_TCK")
            members = [p for p in processes() if p.pids in own and int(p.started) < ticks]
            return members + [process for process in everyone if process.alive]

        assert wait_until(lambda: not left(), SECONDS), (victim.command, left())
        return victim.command

    def check_answers(self, program: subprocess.Popen[str], name: str) -> None:
        """A program that nobody killed has the answers that it should have."""
        out, err = program.communicate(timeout=2 * END)
        assert out.splitlines() == [light.seed(name, n) for n in range(light.COUNT)], err
        assert program.returncode == 0, err

    def check_end(self) -> None:
        """The next program works, and leaves an orderly store."""
        with self._started(*self._program(f"{self._name}-last")) as running:
            self.check_answers(running, f"{self._name}-last")
        assert os.listdir(self._store / "tmp") == []
        assert self._integrity.damage() == []


@pytest.fixture
def rounds(engine_bin: Path, tiny_root: Path, tmp_path: Path) -> Rounds:
    return Rounds(engine_bin, tiny_root, tmp_path / "store", random.randrange(10**9))


def survive(rounds: Rounds, count: int) -> None:
    for number in range(count):
        started = time.monotonic()
        victim = rounds.kill(number)
        print(f"{number}: {victim.strip()[:60]!r}, {time.monotonic() - started:.1f} s", flush=True)
        if number % 20 == 9:
            rounds.check_end()
    rounds.check_end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_engine_survives_ten_random_kills(rounds: Rounds) -> None:
    survive(rounds, 10)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_engine_survives_two_hundred_random_kills(rounds: Rounds) -> None:
    survive(rounds, 200)
