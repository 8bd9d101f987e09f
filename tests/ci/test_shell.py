"""`shell STAGE`, for a user at a true (pseudo-)terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import dagger
import pytest

from ci.command_line import parse
from ci.errors import Failure, UsageError
from ci.shell import choose
from ci.stage import Ran, Result, Status
from tests.ci import ROOT
from tests.engine.screen import Screen, on_a_terminal

PROJECT = '[project]\nname = "tiny"\nversion = "1.2.3"\n'

PROGRAM = """
import sys
from pathlib import Path
from ci import workflow
from ci.command_line import parse
from ci.errors import BrewlineError
root = Path(sys.argv[1])
options = ["--engine", "embedded", "--report", str(root.parent / "reports")]
try:
    sys.exit(workflow.main(parse([*sys.argv[2:], *options], root), root))
except BrewlineError as error:
    sys.exit(f"{error.message} ({error.failure.exit_code})")
"""


def ran(name: str, exit_code: int) -> Ran:
    nowhere = cast(dagger.Container, None)
    log = Path(f"{name}.txt")
    return Ran(container=nowhere, command=(name,), exit_code=exit_code, log=log)


@pytest.mark.parametrize(
    ("codes", "log", "chosen"),
    [
        pytest.param([0, 1, 2, 0], None, 2, id="the last that failed"),
        pytest.param([0, 1, 2], "1.txt", 1, id="the one that the stage failed with"),
        pytest.param([0, 1, 2], "0.txt", 2, id="a log of one that did not fail"),
        pytest.param([0, 0], None, 1, id="the last where none failed"),
        pytest.param([], None, None, id="none"),
    ],
)
def test_the_command_of_a_failed_stage(
    codes: list[int], log: str | None, chosen: int | None
) -> None:
    every = [ran(str(number), code) for number, code in enumerate(codes)]
    result = Result(
        status=Status.FAILED, failure=Failure.CODE, log=None if log is None else Path(log)
    )
    assert choose(every, result) == (None if chosen is None else every[chosen])


def test_the_command_of_a_stage_that_passed_is_its_last() -> None:
    every = [ran("0", 1), ran("1", 0)]
    assert choose(every, Result()) == every[1]


@pytest.mark.parametrize(
    ("stage", "hint"),
    [
        ("lnt", "no stage 'lnt': did you mean lint?"),
        ("notify", "notify runs in no container: give lint, test, build, integration, security."),
    ],
)
def test_what_has_no_containers_is_refused(stage: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint.replace("?", "\\?")):
        parse(["shell", stage], ROOT)


def test_a_user_without_a_terminal_is_told_so() -> None:
    command = [sys.executable, str(ROOT / "ci" / "main.py"), "shell", "lint"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    said = "`shell` needs a terminal: run it with one as its standard input."
    assert done.stderr.splitlines()[-1] == f"brewline: {said}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of a few files, with nothing wrong and never seen before."""
    root = tmp_path / "tree"
    for folder in ("pipeline", "dags", "tests", "requirements"):
        (root / folder).mkdir(parents=True)
    for name in ("dev.txt", "airflow.txt"):
        shutil.copy(ROOT / "requirements" / name, root / "requirements" / name)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "pipeline" / "__init__.py").write_text(f'"""Module {uuid.uuid4()}."""\n')
    (root / "Dockerfile").write_text("FROM python:3.11-slim-bookworm\n")
    return root


@contextmanager
def at_terminal(tree: Path, *arguments: str) -> Iterator[Screen]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("DAGGER_")}
    env = {**own, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(tree), *arguments]
    with on_a_terminal(command, env) as screen:
        yield screen


PROMPT = "# "


def on_the_engine(test: Callable[[Path], None]) -> Callable[[Path], None]:
    """Marks a test of a stage's container, whose layers an empty store makes first."""
    return pytest.mark.engine(pytest.mark.slow(pytest.mark.timeout(900)(test)))


@on_the_engine
def test_a_failed_check_is_looked_at_where_it_failed(tree: Path) -> None:
    bad = tree / "pipeline" / "bad.py"
    bad.write_text(f'"""Bad {uuid.uuid4()}."""\n\nimport os\n')
    with at_terminal(tree, "shell", "lint") as screen:
        screen.wait_for("lint: failed", 600)
        screen.wait_for("As left by `flake8", 60)
        screen.wait_for(PROMPT)
        screen.type("pwd; cat /tmp/reports/flake8.txt; flake8 pipeline; echo again $?; exit 7\n")
        screen.wait_for("/src\r\npipeline/bad.py:3:1: F401")
        screen.wait_for("again 1")
        assert screen.end() == 1
    record = json.loads((tree.parent / "reports" / "summary.json").read_text())
    assert record["exit_code"] == 1


@on_the_engine
def test_a_stage_that_passes_is_looked_at_after_its_last_command(tree: Path) -> None:
    with at_terminal(tree, "shell", "lint") as screen:
        screen.wait_for("which ended with exit code 0:", 600)
        screen.wait_for(PROMPT)
        screen.type("ls pipeline; exit 7\n")
        screen.wait_for("__init__.py")
        assert screen.end() == 0


@on_the_engine
def test_a_failed_step_of_a_dockerfile_is_looked_at_where_it_failed(tree: Path) -> None:
    step = f"WORKDIR /opt\nRUN echo {uuid.uuid4()} > made; echo why >&2; exit 9\n"
    (tree / "Dockerfile").write_text(f"FROM python:3.11-slim-bookworm\n{step}")
    with at_terminal(tree, "shell", "build") as screen:
        screen.wait_for("why\r\n", 600)
        screen.wait_for("Exec failed, attaching terminal: ")
        screen.wait_for(PROMPT)
        screen.type("pwd; ls; exit\n")
        screen.wait_for("/opt\r\nmade\r\n")
        screen.wait_for("A step of the Dockerfile failed.")
        assert screen.end() == 1


@on_the_engine
def test_a_stage_without_a_command_opens_nothing(tree: Path) -> None:
    (tree / "Dockerfile").write_text("FRM python:3.11-slim-bookworm\n")
    with at_terminal(tree, "shell", "build") as screen:
        screen.wait_for("build came to no command in a container", 600)
        assert screen.end() == 1
