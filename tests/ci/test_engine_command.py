from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ci import embedded, engine_command
from ci.command_line import parse
from ci.errors import UsageError
from tests.ci import ROOT


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the engine."""
    path = tmp_path / "engine"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(embedded, "launcher", lambda program, environ: path)
    monkeypatch.setattr(embedded, "require_packages", lambda say: None)
    return path


def run(*arguments: str) -> int:
    return engine_command.main(parse(["engine", *arguments], ROOT), ROOT)


def seen_by(*arguments: str, code: str = "", out: Path) -> dict[str, str]:
    """The environment in which `engine run` runs a program, which may run `code` too."""
    body = f"import json, os; json.dump(dict(os.environ), open({str(out)!r}, 'w')); {code}"
    assert run("run", *arguments, "--", "python", "-c", body) == 7
    found: dict[str, str] = json.loads(out.read_text())
    return found


def test_each_connection_of_a_command_starts_an_engine(
    launcher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGGER_SESSION_PORT", "4321")
    monkeypatch.setenv("DAGGER_SESSION_TOKEN", "t0ken")
    seen = seen_by(code="exit(7)", out=tmp_path / "out.json")
    assert seen["_EXPERIMENTAL_DAGGER_CLI_BIN"] == str(launcher)
    assert not [name for name in seen if name.startswith("DAGGER_SESSION")]


def test_a_command_that_does_not_exist_is_one_clear_message(launcher: Path) -> None:
    with pytest.raises(UsageError, match="Cannot run no-such-command"):
        run("run", "--", "no-such-command")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_told_to_end_may_say_its_last_word(
    number: signal.Signals, launcher: Path, tmp_path: Path
) -> None:
    ready, said = tmp_path / "ready", tmp_path / "said"
    os.mkfifo(ready)
    last = f"kill $!; sleep 0.5; echo bye > {said}; exit 5"
    script = f"trap '{last}' INT TERM; : > {ready}; sleep 20 & wait"
    code = f"""
import sys
from pathlib import Path
from ci import embedded, engine_command
from ci.command_line import parse
embedded.launcher = lambda program, environ: Path({str(launcher)!r})
embedded.require_packages = lambda say: None
options = parse(["engine", "run", "--", "sh", "-c", {script!r}], Path({str(ROOT)!r}))
sys.exit(engine_command.main(options, Path({str(ROOT)!r})))
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    ready.read_text()
    if number == signal.SIGINT:  # as a terminal does
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    assert running.wait(60) == 5
    assert said.read_text() == "bye\n"
    assert not list(tmp_path.glob("brewline-*"))


@pytest.mark.usefixtures("registry_program")
def test_a_registry_answers_while_the_command_runs(launcher: Path, tmp_path: Path) -> None:
    code = "import urllib.request as u; u.urlopen('http://' + os.environ['HERE'] + '/v2/'); exit(7)"
    seen = seen_by("--registry", "HERE", code=code, out=tmp_path / "out.json")
    host, port = seen["HERE"].split(":")
    assert host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_run_without_a_command_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a command"):
        run("run")


@pytest.mark.parametrize("action", ["info", "prune"])
def test_info_and_prune_are_the_engines_own(launcher: Path, action: str) -> None:
    launcher.write_text('#!/bin/sh\necho "$@" > "$0.log"\nexit 5\n')
    assert run(action) == 5
    assert Path(f"{launcher}.log").read_text() == f"{action}\n"


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root")
def test_a_program_with_the_sdk_runs_on_the_real_engine(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import anyio, dagger\n"
        "async def main():\n"
        "    async with dagger.Connection() as client:\n"
        "        found = await client.directory().with_new_file('x', 'y').file('x').contents()\n"
        "        assert found == 'y'\n"
        "anyio.run(main)\n"
    )
    assert run("run", "--", "python", str(program)) == 0
