"""The stages on the embedded engine, each on a tree of a few files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ci import workflow
from ci.command_line import parse
from tests.ci import ROOT

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("on_its_own"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root"),
]

PROJECT = """\
[project]
name = "tiny"
version = "1.2.3"

[tool.mypy]
strict = true

[tool.coverage.run]
source = ["pipeline"]
"""
DOCKERFILE = """\
FROM python:3.11-slim-bookworm
ENV AIRFLOW__CORE__DAGS_FOLDER=/dags
COPY dags /dags
USER 50000
"""
CLEAN = '"""A module."""\n\nANSWER = 42\n'
TEST = """\
import pipeline


def test_it() -> None:
    assert pipeline.ANSWER == 42
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with something for each stage, and nothing wrong."""
    root = tmp_path / "tree"
    for folder in ("pipeline", "dags", "tests", "requirements"):
        (root / folder).mkdir(parents=True)
    for name in ("dev.txt", "airflow.txt"):
        shutil.copy(ROOT / "requirements" / name, root / "requirements" / name)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "Dockerfile").write_text(DOCKERFILE)
    (root / "pipeline" / "__init__.py").write_text(CLEAN)
    (root / "dags" / "tiny.py").write_text(CLEAN)
    (root / "tests" / "test_tiny.py").write_text(TEST)
    return root


def run(root: Path, *arguments: str) -> int:
    folder = str(root.parent / "reports")
    options = parse([*arguments, "--engine", "embedded", "--report", folder], root)
    return workflow.main(options, root)


def stage(root: Path, name: str) -> dict[str, Any]:
    found = json.loads((root.parent / "reports" / "summary.json").read_text())
    return next(entry for entry in found["stages"] if entry["name"] == name)


def test_an_unused_import_fails_lint_with_file_and_line(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "pipeline" / "bad.py").write_text('"""Bad."""\n\nimport os\n')
    assert run(tree, "lint") == 1
    shown = capsys.readouterr().out
    assert "pipeline/bad.py:3:1: F401" in shown
    assert "log: " in shown and "Traceback" not in shown
    assert stage(tree, "lint")["failure"] == "code"
    assert stage(tree, "lint")["artifacts"] == [
        "lint/black.txt",
        "lint/flake8.txt",
        "lint/mypy.txt",
    ]


def test_a_syntax_error_fails_lint_with_file_and_line(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "dags" / "tiny.py").write_text("def broken(:\n")
    assert run(tree, "lint") == 1
    assert "dags/tiny.py:1" in capsys.readouterr().out


def test_with_nothing_changed_lint_comes_from_the_cache_with_its_artifacts(tree: Path) -> None:
    assert run(tree, "lint", "--no-cache") == 0
    assert stage(tree, "lint")["cached"] is False
    assert run(tree, "lint") == 0
    shutil.rmtree(tree.parent / "reports")
    assert run(tree, "lint") == 0
    assert stage(tree, "lint")["cached"] is True
    assert (tree.parent / "reports" / "lint" / "mypy.txt").read_text().startswith("Success")


def test_tests_leave_junit_and_coverage(tree: Path) -> None:
    assert run(tree, "test") == 0
    reports = tree.parent / "reports" / "test"
    assert "coverage 100%" in stage(tree, "test")["reason"]
    assert (reports / "junit.xml").stat().st_size and (reports / "coverage" / "index.html").exists()


def test_a_failing_test_leaves_junit_and_coverage_too_and_is_run_again(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "pipeline" / "__init__.py").write_text('"""A module."""\n\nANSWER = 43\n')
    reports = tree.parent / "reports" / "test"
    assert run(tree, "test") == 1
    assert "FAILED tests/test_tiny.py::test_it" in capsys.readouterr().out
    assert (reports / "coverage.xml").exists()
    before = (reports / "junit.xml").read_text()
    # A failure may have been the machine's: it is never answered from memory.
    assert run(tree, "test") == 1
    assert (reports / "junit.xml").read_text() != before


def test_the_image_is_built_and_known_by_its_content(tree: Path) -> None:
    def built(*arguments: str) -> Any:
        assert run(tree, "build", *arguments) == 0
        return json.loads((tree.parent / "reports" / "summary.json").read_text())["image"]

    image = built()
    assert image["reference"] == "brewline:sha-unknown"
    assert image["digest"].startswith("content:")
    assert "tiny.py" in (tree.parent / "reports" / "build" / "dags.txt").read_text()
    assert built("--no-cache") == image
    (tree / "dags" / "tiny.py").write_text(f"{CLEAN}# another image\n")
    assert built()["digest"] != image["digest"]


@pytest.mark.parametrize(
    ("dockerfile", "dag", "shown"),
    [
        pytest.param(DOCKERFILE.replace("USER 50000", ""), CLEAN, "ordinary user", id="root"),
        pytest.param(
            DOCKERFILE.replace("COPY", "RUN cp /bin/true /usr/local/bin/gcc\nCOPY"),
            CLEAN,
            "/usr/local/bin/gcc is in the image",
            id="compiler",
        ),
        pytest.param(DOCKERFILE, "def broken(:\n", "SyntaxError", id="dag-syntax"),
        pytest.param(
            DOCKERFILE.replace("COPY", "RUN echo no such luck && exit 3\nCOPY"),
            CLEAN,
            "no such luck",
            id="step-fails",
        ),
        pytest.param("FRM x\n", CLEAN, "The Dockerfile cannot be built", id="no-dockerfile"),
    ],
)
def test_an_image_that_breaks_a_rule_fails_the_build(
    tree: Path, capsys: pytest.CaptureFixture[str], dockerfile: str, dag: str, shown: str
) -> None:
    (tree / "Dockerfile").write_text(dockerfile)
    (tree / "dags" / "tiny.py").write_text(dag)
    assert run(tree, "build") == 1
    assert shown in capsys.readouterr().out


def test_an_interrupted_run_ends_with_130_and_leaves_nothing_running(tree: Path) -> None:
    sleep = f"600.{os.getpid()}"  # a number by which this very process is found again
    (tree / "tests" / "test_tiny.py").write_text(
        f"import subprocess\n\n\ndef test_it() -> None:\n    subprocess.run(['sleep', '{sleep}'])\n"
    )
    code = (
        "import sys; from pathlib import Path; from ci import command_line, workflow;"
        "root = Path(sys.argv[1]); options = command_line.parse(sys.argv[2:], root);"
        "sys.exit(workflow.main(options, root))"
    )
    arguments = ["test", "--engine", "embedded", "--report", str(tree.parent / "reports")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tree), *arguments]
    with subprocess.Popen(command, env=environ, cwd=tree) as process:
        assert _eventually(lambda: _running("sleep", sleep), 600)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert stage(tree, "test")["status"] == "cancelled"
    assert not _running("sleep", sleep)
    assert not _running("engine", "serve", str(tree))


def _eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _running(*words: str) -> bool:
    """Whether there is a process whose command line holds all the words."""
    return any(all(word in line for word in words) for line in _command_lines())


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end while it is read
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
