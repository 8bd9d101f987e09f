from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci import installer
from ci.environment import Environment, cache_folder, repair
from ci.errors import InfrastructureError
from tests.ci import ROOT

# An environment with nothing to install needs no network: what is under test is its making.
MAKE = """
import os, sys
from pathlib import Path
from ci.environment import Environment
environment = Environment.of("ci", Path(sys.argv[1]), os.environ)
environment.make(lambda line: print(line, flush=True), os.environ)
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A cache folder of the test's own, and a uv that has nothing to do and does it at once."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "requirements").mkdir(parents=True)
    (tmp_path / "tree" / "requirements" / "ci.txt").write_text("# nothing\n")
    return tmp_path / "tree"


def made(tree: Path, environ: Mapping[str, str]) -> tuple[Environment, list[str]]:
    said: list[str] = []
    environment = Environment.of("ci", tree, environ)
    environment.make(said.append, environ)
    return environment, said


def runs(environment: Environment) -> bool:
    done = subprocess.run([str(environment.python), "-c", "pass"], check=False, timeout=120)
    return done.returncode == 0


def test_it_is_made_once_with_a_progress_line(tree: Path, environ: dict[str, str]) -> None:
    environment, said = made(tree, environ)
    assert runs(environment)
    assert said[0].startswith("Making the environment from ci.txt")
    assert made(tree, environ)[1] == []


def test_another_lock_file_means_another_folder(tree: Path, environ: dict[str, str]) -> None:
    before = Environment.of("ci", tree, environ)
    (tree / "requirements" / "ci.txt").write_text("# something else\n")
    assert Environment.of("ci", tree, environ).folder != before.folder


def test_the_folder_is_the_same_inside_and_outside_of_it(
    tree: Path, environ: dict[str, str]
) -> None:
    environment, _ = made(tree, environ)
    code = MAKE + "print(environment.folder, environment.active)"
    command = [str(environment.python), "-c", code, str(tree)]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=True)
    assert done.stdout.split() == [str(environment.folder), "True"]


def _remove_stamp(environment: Environment) -> None:
    environment.stamp.unlink()


def _garble_stamp(environment: Environment) -> None:
    environment.stamp.write_text('{"interp')


def _remove_interpreter(environment: Environment) -> None:
    environment.python.unlink()


def _dangling_interpreter(environment: Environment) -> None:
    environment.python.unlink()
    environment.python.symlink_to("/nonexistent/python")


def _other_interpreter(environment: Environment) -> None:
    stamp = json.loads(environment.stamp.read_text())
    environment.stamp.write_text(json.dumps({**stamp, "interpreter": "/usr/bin/python2 2.7"}))


def _lose_a_package(environment: Environment) -> None:
    stamp = json.loads(environment.stamp.read_text())
    environment.stamp.write_text(json.dumps({**stamp, "packages": ["dagger"]}))


@pytest.mark.parametrize(
    "damage",
    [
        _remove_stamp,
        _garble_stamp,
        _remove_interpreter,
        _dangling_interpreter,
        _other_interpreter,
        _lose_a_package,
    ],
)
def test_a_broken_one_is_made_again(
    tree: Path,
    environ: dict[str, str],
    damage: object,
) -> None:
    environment, _ = made(tree, environ)
    assert callable(damage)
    damage(environment)
    assert not environment.is_whole()
    _, said = made(tree, environ)
    assert said[0].startswith("Repairing")
    assert environment.is_whole() and runs(environment)


def test_two_that_start_at_once_make_it_once(tree: Path, environ: dict[str, str]) -> None:
    command = [sys.executable, "-c", MAKE, str(tree)]
    both = [
        subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Making the environment" in output for output in outputs) == 1
    assert Environment.of("ci", tree, environ).is_whole()


def test_a_failed_install_leaves_nothing_half_made(tree: Path, environ: dict[str, str]) -> None:
    (tree / "requirements" / "ci.txt").write_text("brewline-has-no-hash==1.0\n")
    environ["PATH"] = os.environ["PATH"]
    with pytest.raises(InfrastructureError, match="Cannot install ci.txt"):
        made(tree, environ)
    assert not Environment.of("ci", tree, environ).folder.exists()


@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip"])
def test_an_index_that_does_not_answer_is_one_clear_message(
    tree: Path, environ: dict[str, str], tmp_path: Path, with_uv: bool
) -> None:
    if with_uv and not shutil.which("uv"):
        pytest.skip("uv is not installed")
    (tree / "requirements" / "ci.txt").write_text(f"rich==1.0 --hash=sha256:{'0' * 64}\n")
    nowhere = "http://127.0.0.1:9/simple"
    environ |= {"UV_DEFAULT_INDEX": nowhere, "UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"}
    environ |= {"PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    environ["PATH"] = os.environ["PATH"] if with_uv else str(tmp_path)
    with pytest.raises(InfrastructureError, match="package index does not answer"):
        made(tree, environ)
    assert not Environment.of("ci", tree, environ).folder.exists()


def test_a_cache_folder_that_cannot_be_written_is_one_clear_message(
    tree: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match="XDG_CACHE_HOME"):
        made(tree, {**environ, "XDG_CACHE_HOME": str(tmp_path / "file")})


def test_pip_serves_where_there_is_no_uv(
    tree: Path, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    real = subprocess.run

    def recording(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        called.append([str(word) for word in command])
        return real(command, **options)  # type: ignore[call-overload,no-any-return] # any options

    monkeypatch.setattr(subprocess, "run", recording)
    environment, _ = made(tree, {**environ, "PATH": str(tmp_path)})
    assert "--require-hashes" in called[-1] and "pip" in " ".join(called[-1])
    assert runs(environment)


def test_without_any_pip_the_message_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "_WHEEL_FOLDERS", ())
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(InfrastructureError, match="apt-get install --yes python3-venv"):
        installer.install(tmp_path / "ci.txt", tmp_path / "python", {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("error: No space left on device (os error 28)", "disk is full"),
        ("  Caused by: dns error: failed to lookup address", "does not answer"),
        ("ERROR: Could not find a version (from versions: none)", "does not answer"),
        ("Hash mismatch for `rich==1.0`", "does not match its hash"),
        ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("first\nlast line\n\n", "last line"),
        ("", "said nothing"),
    ],
)
def test_an_installers_output_is_explained(output: str, cause: str) -> None:
    assert cause in installer.explain(output)


def test_the_cache_folder_follows_the_desktop_rules() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/brewline")
    assert cache_folder({}) == Path.home() / ".cache" / "brewline"


def test_a_module_that_is_gone_starts_the_making_again_once(
    tree: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, _ = made(tree, environ)
    monkeypatch.setattr(sys, "prefix", str(environment.folder))
    called: list[tuple[str, list[str], Mapping[str, str]]] = []

    def become(path: str, arguments: list[str], variables: Mapping[str, str]) -> None:
        called.append((path, arguments, variables))
        raise SystemExit

    monkeypatch.setattr(os, "execve", become)
    gone = ModuleNotFoundError("No module named 'rich.live'", name="rich.live")
    with pytest.raises(SystemExit):
        repair("ci", tree, gone, environ, ["all"])
    path, arguments, variables = called[0]
    assert not environment.is_whole()
    assert not Path(path).is_relative_to(environment.folder)
    assert arguments[1:] == [str(tree / "ci" / "main.py"), "all"]
    with pytest.raises(InfrastructureError, match="even after a repair"):
        repair("ci", tree, gone, variables, ["all"])


def test_a_fault_of_the_program_itself_is_not_repaired(tree: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ImportError, match="cannot import name"):
        repair("ci", tree, ImportError("cannot import name 'x'", name="ci.graph"), environ, [])
