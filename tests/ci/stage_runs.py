"""Runs of a stage as a person makes them, in a copy of the project that a test may spoil."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.engine.machine import Process, family, footprint, wait_until

ROOT = Path(__file__).parents[2]
_FOLDERS = ("ci", "engine", "images", "pipeline", "dags", "tests", "requirements")
_FILES = ("Dockerfile", ".dockerignore", "compose.yaml", "pyproject.toml", "README.md", "LICENSE")
_OPTIONS = ("--engine", "embedded", "--verbose")
_SECONDS_TO_END = 20


@dataclass(frozen=True)
class Ran:
    """One run of the command line: its exit code, what it said, its record and what it left."""

    status: int
    output: str
    stage: dict[str, Any]
    report: Path
    left: list[str]

    @property
    def verdict(self) -> dict[str, Any]:
        """What the driver found."""
        return dict(json.loads((self.report / self.stage["name"] / "verdict.json").read_text()))

    @property
    def ended(self) -> tuple[int, str | None]:
        """Exit code and class of the failure."""
        return self.status, self.stage["failure"]

    def explains(self, *lines: str) -> bool:
        """Whether each of `lines` was printed; shows what was where one is missing."""
        missing = [line for line in lines if line not in self.output]
        assert not missing, f"{missing} not in:\n{self.output}"
        return True


@dataclass(frozen=True)
class Tree:
    """The copy."""

    root: Path

    @classmethod
    def copied(cls, root: Path) -> Tree:
        """A copy of the project at `root`."""
        for folder in _FOLDERS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
        for name in _FILES:
            shutil.copy(ROOT / name, root / name)
        return cls(root)

    def replace(self, file: str, old: str, new: str) -> None:
        """Put `new` for `old`, which must be there."""
        path = self.root / file
        assert old in path.read_text(), f"{old!r} is not in {file}"
        path.write_text(path.read_text().replace(old, new))

    def change_service(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a service of the compose file."""
        path = self.root / "compose.yaml"
        stack = yaml.safe_load(path.read_text())
        change(stack["services"][name])
        path.write_text(yaml.safe_dump(stack))

    def try_once(self) -> None:
        """Have no stage tried again, where a test is not about that: it takes twice as long."""
        self.replace("ci/graph.py", "repeatable=True", "repeatable=False")

    def begin(
        self, command: str = "integration", *words: str, report: str = "reports", **environ: str
    ) -> subprocess.Popen[str]:
        """Start a stage; whoever asks for it ends it."""
        inherited = {name: value for name, value in os.environ.items() if name != "BREWERY_CSV"}
        with (self.root / f"{report}.txt").open("w") as output:
            return subprocess.Popen(
                [sys.executable, "ci/main.py", command, *words, *_OPTIONS, "--report", report],
                cwd=self.root,
                env={**inherited, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def end(
        self, running: subprocess.Popen[str], command: str = "integration", report: str = "reports"
    ) -> Ran:
        """Wait for the end of a stage, and then for that of all that it started."""
        before = footprint().mounts
        started: dict[int, Process] = {}
        while running.poll() is None:
            started.update((process.pid, process) for process in family(running.pid))
            time.sleep(1)

        def left() -> list[str]:
            # By themselves and not by their namespaces, whose numbers are soon another engine's.
            alive = [process.command for process in started.values() if process.alive]
            # An engine leaves the pruning of a big store to a process that outlives it.
            alive = [command for command in alive if "-m engine tidy" not in command]
            return alive + sorted(footprint().mounts - before)

        wait_until(lambda: not left(), _SECONDS_TO_END)
        folder = self.root / report
        summary = json.loads((folder / "summary.json").read_text())
        (stage,) = [entry for entry in summary["stages"] if entry["name"] == command]
        return Ran(
            status=running.returncode,
            output=(self.root / f"{report}.txt").read_text(),
            stage=stage,
            report=folder,
            left=left(),
        )

    def run(self, command: str = "integration", **environ: str) -> Ran:
        """Run a stage from start to end."""
        with self.begin(command, **environ) as running:
            try:
                return self.end(running, command)
            finally:
                running.terminate()

    def serve(self, count: int) -> str:
        """Path of a CSV of so many breweries, in the columns of the real one, that no run saw."""
        batch = secrets.token_hex(4)
        place = "Portland,Oregon,97201,United States,,,,"
        rows = [f"id-{n},Brewery {batch} {n},micro,Street {n},,,{place}" for n in range(count)]
        head = (
            "id,name,brewery_type,address_1,address_2,address_3,city,state_province,postal_code,"
            "country,phone,website_url,longitude,latitude"
        )
        path = self.root / "breweries.csv"
        path.write_text("\n".join([head, *rows]) + "\n")
        return str(path)
