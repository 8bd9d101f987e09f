from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci.command_line import COMMANDS, parse
from ci.errors import UsageError
from tests.ci import ROOT

MAIN = [sys.executable, str(ROOT / "ci" / "main.py")]


def call(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(["lnt"], "no command 'lnt': did you mean lint?", id="command"),
        pytest.param(["all", "--only", "tset"], "no stage 'tset': did you mean test?", id="only"),
        pytest.param(["all", "--skip", "xyzzy"], "no stage 'xyzzy': there are", id="skip"),
        pytest.param(["lint", "--engine", "dager"], "did you mean dagger?", id="engine"),
        pytest.param(["deploy", "stagin"], "did you mean staging?", id="environment"),
        pytest.param(["deploy"], "ENV", id="deploy-nowhere"),
        pytest.param([], "COMMAND", id="nothing"),
        pytest.param(["all", "--jobs", "0"], "'0' is not a number of at least 1", id="jobs"),
        pytest.param(["all", "--timeout", "-1"], "'-1' is not a number of seconds", id="timeout"),
        pytest.param(["all", "--timeout", "nan"], "not a number of seconds", id="timeout-nan"),
        pytest.param(["lint", "--fast"], "--fast", id="option"),
        pytest.param(["engine", "stop"], "stop", id="engine-action"),
        pytest.param(["all", "extra"], "extra", id="extra-word"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(arguments: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(arguments, ROOT)
    assert hint in raised.value.message


def test_bad_usage_ends_with_2_and_one_line() -> None:
    done = call("lnt")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "brewline: There is no command 'lnt': did you mean lint?\n"


def test_the_nightly_run_ends_with_its_notification() -> None:
    assert parse(["nightly"], ROOT).only == ("nightly", "notify")


@pytest.mark.parametrize("name", ["lint", "test", "build", "integration", "security", "notify"])
def test_a_stage_command_asks_for_that_stage_alone(name: str) -> None:
    assert parse([name], ROOT).only == (name,)


def test_all_asks_for_no_stage_in_particular() -> None:
    options = parse(["all", "--skip", "security", "--keep-going", "--jobs", "1"], ROOT)
    assert (options.only, options.skip, options.keep_going, options.jobs) == (
        (),
        ("security",),
        True,
        1,
    )


def test_deploy_asks_for_the_stage_of_its_environment() -> None:
    assert parse(["deploy", "staging"], ROOT).only == ("deploy-staging",)


def test_reports_go_below_the_repository_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(["all"], ROOT).report == ROOT / "reports"
    assert parse(["all", "--report", "out"], ROOT).report == tmp_path / "out"


def test_engine_run_takes_a_command_with_options_of_its_own() -> None:
    options = parse(["engine", "run", "--", "python", "x.py", "--engine", "y"], ROOT)
    assert options.action == "run"
    assert options.rest == ("python", "x.py", "--engine", "y")
    assert options.registry == ""


def test_engine_run_takes_the_name_of_a_registrys_variable() -> None:
    options = parse(["engine", "run", "--registry", "R", "--", "git", "log", "--", "x"], ROOT)
    assert (options.registry, options.rest) == ("R", ("git", "log", "--", "x"))
    with pytest.raises(UsageError, match="no name of a variable"):
        parse(["engine", "run", "--registry", "a=b", "--", "true"], ROOT)


def test_a_reader_that_goes_away_is_no_fault() -> None:
    shell = 'set -o pipefail; "$@" | true; echo "${PIPESTATUS[0]}"'
    command = ["bash", "-c", shell, "bash", *MAIN, "plan", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_help_names_every_command() -> None:
    done = call("--help")
    assert done.returncode == 0
    assert all(f"\n    {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["plan"], ["lint", "--help"]])
def test_help_and_plan_load_neither_the_sdk_nor_an_event_loop(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", *MAIN[1:], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ci.graph" in modules
    assert not modules & {"dagger", "anyio", "asyncio", "rich", "ci.environment"}


def test_plan_as_json_lists_every_stage() -> None:
    found = json.loads(call("plan", "--json").stdout)
    names = [stage["name"] for stage in found["stages"]]
    assert names[0] == "lint" and names[-1] == "notify" and len(names) == 11
    assert all(stage["reason"] for stage in found["stages"])


def test_plan_works_from_any_folder(tmp_path: Path) -> None:
    assert "lint" in call("plan", cwd=tmp_path).stdout


def test_plan_says_that_nothing_is_published_unless_asked() -> None:
    assert call("plan").stdout.splitlines()[1] == "publishes nothing: only `--publish` acts"


def test_plan_says_what_is_left_out() -> None:
    lines = call("plan", "--skip", "security").stdout.splitlines()
    assert any(line.split() == "skip security left out by --skip".split() for line in lines)
