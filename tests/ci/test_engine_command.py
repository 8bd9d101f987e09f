from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci import embedded, engine_command
from ci.command_line import parse
from ci.errors import InfrastructureError, UsageError
from tests.ci import ROOT

# Speaks just enough of the protocol: a line of parameters, then the end when its input closes.
SESSION = """\
#!/bin/sh
echo '{"port": 4321, "session_token": "t0ken"}'
cat >/dev/null
echo ended >> "$0.log"
"""


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the engine."""
    path = tmp_path / "engine"
    path.write_text(SESSION)
    path.chmod(0o755)
    monkeypatch.setattr(embedded, "launcher", lambda program, environ: path)
    monkeypatch.setattr(embedded, "require_packages", lambda say: None)
    return path


def run(*arguments: str) -> int:
    return engine_command.main(parse(["engine", *arguments], ROOT), ROOT)


def test_a_command_finds_the_session_and_the_engine_ends_after_it(
    launcher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    code = f"import json, os; json.dump(dict(os.environ), open({str(out)!r}, 'w')); exit(7)"
    assert run("run", "--", "python", "-c", code) == 7
    seen = json.loads(out.read_text())
    assert (seen["DAGGER_SESSION_PORT"], seen["DAGGER_SESSION_TOKEN"]) == ("4321", "t0ken")
    assert Path(f"{launcher}.log").read_text() == "ended\n"


def test_a_command_that_does_not_exist_is_one_clear_message_and_the_engine_ends(
    launcher: Path,
) -> None:
    with pytest.raises(UsageError, match="Cannot run no-such-command"):
        run("run", "--", "no-such-command")
    assert Path(f"{launcher}.log").exists()


def test_run_without_a_command_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a command"):
        run("run")


def test_an_engine_that_does_not_start_is_told(launcher: Path) -> None:
    launcher.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(InfrastructureError, match="did not start"):
        run("run", "--", "true")


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
