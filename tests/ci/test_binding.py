from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import anyio
import dagger
import pytest
from dagger._exceptions import QueryErrorValue
from gql import GraphQLRequest

from ci.binding import Stages, function_of
from ci.connection import is_environmental
from ci.errors import BrewlineError, CheckFailed, Failure, InfrastructureError
from ci.graph import STAGES, Stage
from ci.report import Report
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context, Result

Perform = Callable[[Exception], BrewlineError]


@pytest.fixture
def raised_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """What becomes of an exception that a stage raises."""

    def perform(error: Exception) -> BrewlineError:
        async def run(context: Context) -> Result:
            raise error

        module = types.ModuleType("ci.stages.fake")
        monkeypatch.setattr(module, "run", run, raising=False)
        monkeypatch.setitem(sys.modules, "ci.stages.fake", module)
        with pytest.raises(BrewlineError) as raised:
            anyio.run(_stages(tmp_path).perform, Stage(name="fake", summary=""), {})
        return raised.value

    return perform


def _stages(folder: Path) -> Stages:
    git = Git(commit=None, branch=None)
    return Stages(
        client=None,
        root=folder,
        record=Report(folder=folder / "reports", run_id="r", version="0", git=git),
        settings=Settings(github=False, brewery_csv=None, smtp=None),
        say=lambda stage, text: None,
        tell=lambda stage, text: None,
        nonce="",
    )


def test_what_a_first_try_left_is_kept_beside_what_the_second_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(context: Context) -> Result:
        assert list(context.report.iterdir()) == []
        (context.report / "log.txt").write_text(words.pop(0))
        return Result()

    words = ["first", "second"]
    module = types.ModuleType("ci.stages.fake")
    monkeypatch.setattr(module, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "ci.stages.fake", module)
    for _ in range(2):
        anyio.run(_stages(tmp_path).perform, Stage(name="fake", summary=""), {})
    assert (tmp_path / "reports/fake/log.txt").read_text() == "second"
    assert (tmp_path / "reports/fake-first-try/log.txt").read_text() == "first"


def an_exec_error(stderr: str) -> dagger.ExecError:
    extensions = {
        "_type": "EXEC_ERROR",
        "cmd": ["uv", "pip", "install"],
        "exitCode": 2,
        "stdout": "",
        "stderr": stderr,
    }
    value = QueryErrorValue("process failed", extensions=extensions)
    error = dagger.QueryError([value], GraphQLRequest("{version}"))
    assert isinstance(error, dagger.ExecError)
    return error


@pytest.mark.parametrize(
    ("said", "environmental"),
    [
        ("E: Failed to fetch http://archive/x.deb", True),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed", True),
        ("curl: (60) SSL certificate problem: unable to get local issuer certificate", True),
        ("invalid peer certificate: UnknownIssuer", True),
        ("OSError: [Errno 28] No space left on device", True),
        ("SyntaxError: invalid syntax", False),
    ],
)
def test_the_machine_is_told_from_the_code_by_what_a_command_says(
    said: str, environmental: bool
) -> None:
    assert is_environmental(an_exec_error(said)) is environmental


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_of_the_graph_has_its_function(stage: Stage) -> None:
    assert callable(function_of(stage))


def test_our_own_errors_pass_as_they_are(raised_as: Perform) -> None:
    error = CheckFailed("two faults")
    assert raised_as(error) is error


def test_an_error_inside_a_task_group_is_taken_out_of_it(raised_as: Perform) -> None:
    error = CheckFailed("two faults")
    inner: Exception = ExceptionGroup("group", [error])
    assert raised_as(ExceptionGroup("group", [inner])) is error


def test_a_command_that_no_stage_expected_to_fail_is_the_machines_fault(
    raised_as: Perform,
) -> None:
    error = raised_as(an_exec_error("dns error\nlast words"))
    assert isinstance(error, InfrastructureError)
    assert error.message == "`uv pip install` ended with exit code 2."
    assert error.detail.endswith("last words")
    assert error.log is not None and "last words" in error.log.read_text()


def test_a_fault_of_the_stage_itself_is_a_message_and_a_log_not_a_traceback(
    raised_as: Perform,
) -> None:
    error = raised_as(KeyError("nothing"))
    assert error.failure is Failure.CODE
    assert error.message == "The stage itself is at fault, KeyError: 'nothing'."
    assert error.log is not None and "Traceback" in error.log.read_text()


def test_a_disk_that_fails_is_infrastructure(raised_as: Perform) -> None:
    error = raised_as(OSError(28, "No space left on device"))
    assert error.failure is Failure.INFRASTRUCTURE
    assert "No space left on device" in error.message
