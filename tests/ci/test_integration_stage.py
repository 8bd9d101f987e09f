"""The integration stage: what it asks of an engine, and what it makes of a verdict."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import dagger
import pytest

from ci import keeping, stack
from ci.compose import Compose, read_compose
from ci.errors import BrewlineError, CheckFailed, InfrastructureError, UpstreamDown, UsageError
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context
from ci.stages import integration

ROOT = Path(__file__).parents[2]
LAKE = {"bronze_rows": 12000, "silver_rows": 11820, "gold_rows": 319, "warnings": ["drift: odd"]}
CODE_FAILURE = {
    "class": "code",
    "step": "run",
    "message": "Task silver failed: KeyError: 'x'",
    "log": "logs/tasks/a.log",
    "lines": ["one", "two"],
}


def context(tmp_path: Path, csv: Path | None = None) -> Context:
    """A context whose client is never connected."""
    return Context(
        client=dagger.Client(),
        root=ROOT,
        git=Git(commit=None, branch=None),
        settings=Settings(github=False, brewery_csv=csv, smtp=None, cache=tmp_path / "cache"),
        reports=tmp_path,
        report=tmp_path,
        say=print,
        tell=print,
    )


class Engine:
    """What an engine would answer for each key; a key it knows is answered from memory."""

    def __init__(self, *outcomes: dict[str, Any] | None) -> None:
        self.outcomes = list(outcomes)
        self.memory: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.driven = 0

    async def drive(
        self, context: Context, compose: Compose, *, key: str, token: str
    ) -> dict[str, Any]:
        if key not in self.memory:
            self.driven += 1
            failure = self.outcomes.pop(0)
            self.tokens[key] = token
            steps = {"start": 8.0, "run": 21.0}
            result = {"failure": failure} if failure else {"lake": LAKE, "steps": steps}
            self.memory[key] = {"passed": failure is None, **result}
        return {**self.memory[key], "fresh": self.tokens[key] == token}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The stage's engine, empty as yet."""
    made = Engine()

    async def content(context: Context) -> str:
        return "content"

    monkeypatch.setattr(integration, "drive", made.drive)
    monkeypatch.setattr(integration, "_content", content)
    return made


@pytest.mark.anyio
async def test_a_run_with_nothing_changed_is_remembered(tmp_path: Path, engine: Engine) -> None:
    engine.outcomes = [None]
    first = await integration.run(context(tmp_path))
    second = await integration.run(context(tmp_path))
    assert (first.cached, second.cached, engine.driven) == (False, True, 1)
    rows = "12,000 rows in bronze, 11,820 in silver, 319 in gold; warning: drift: odd"
    assert first.reason.startswith(f"{rows}; stack up in 8.0 s, DAG run of 21.0 s, all else ")
    assert second.reason == rows


@pytest.mark.anyio
async def test_a_failure_is_told_at_once_and_never_from_memory(
    tmp_path: Path, engine: Engine
) -> None:
    engine.outcomes = [CODE_FAILURE, CODE_FAILURE, None]
    for driven in (1, 2):
        with pytest.raises(CheckFailed) as caught:
            await integration.run(context(tmp_path))
        assert engine.driven == driven
    assert caught.value.message == "Task silver failed: KeyError: 'x'"
    assert caught.value.detail == "one\ntwo"
    assert caught.value.log == tmp_path / "logs/tasks/a.log"
    assert (await integration.run(context(tmp_path))).cached is False
    assert (await integration.run(context(tmp_path))).cached is True


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "error"),
    [("code", CheckFailed), ("infrastructure", InfrastructureError), ("upstream", UpstreamDown)],
)
async def test_the_class_of_a_failure_is_that_of_the_driver(
    tmp_path: Path, engine: Engine, name: str, error: type[BrewlineError]
) -> None:
    engine.outcomes = [{**CODE_FAILURE, "class": name}]
    with pytest.raises(error):
        await integration.run(context(tmp_path))


def test_a_file_that_is_no_csv_is_refused_before_anything_starts(tmp_path: Path) -> None:
    csv = tmp_path / "breweries.csv"
    csv.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="which is no CSV in UTF-8"):
        stack._rows(csv)


@pytest.mark.parametrize(
    "text", [None, "", '{"passed": tr', '{"passed": true}'], ids=["none", "empty", "cut", "untrue"]
)
def test_a_driver_that_left_no_verdict_has_failed_and_is_told_by_its_last_words(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "verdict.json").write_text(text)
    verdict = stack._read_verdict(tmp_path, 137, "Traceback\nImportError: no httpx\n")
    assert not verdict["passed"]
    error = stack.failure(context(tmp_path), verdict["failure"])
    assert isinstance(error, InfrastructureError)
    assert error.message == "The integration driver ended with status 137 and left no verdict."
    assert (error.detail, error.log) == (
        "Traceback\nImportError: no httpx",
        tmp_path / "driver.txt",
    )


def test_a_driver_that_cannot_start_is_the_codes_fault(tmp_path: Path) -> None:
    verdict = stack._read_verdict(tmp_path, 1, "ImportError")
    assert isinstance(stack.failure(context(tmp_path), verdict["failure"]), CheckFailed)


@pytest.mark.parametrize("text", ["run", "", None])
def test_a_full_disk_does_not_have_a_run_pass_for_a_remembered_one(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "run").write_text(text)
    assert stack._told(tmp_path / "run") == (text or "")
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_told_before_a_stack_is_kept_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"on port {port}, which is taken"):
            keeping.require_free(port)
    keeping.require_free(port)


def test_the_driver_knows_the_jobs_the_source_and_the_rows(tmp_path: Path) -> None:
    csv = tmp_path / "breweries.csv"
    csv.write_text('id,name\n1,"two\nlines"\n2,b\n')
    given = context(tmp_path, csv)
    variables = stack.variables(given, stack.API)
    compose = read_compose(ROOT / "compose.yaml", variables, profiles=["test"])
    environment = stack._driver_environment(given, compose, "k")
    assert environment["BREWLINE_ROWS"] == "2"
    assert compose.services["brewery-api"].mounts[-1].source == str(csv)
    assert compose.services["brewery-api"].environment["BREWERY_CSV"] == "/data/breweries.csv"
    components = {entry["name"]: entry for entry in json.loads(environment["BREWLINE_STACK"])}
    assert [name for name, entry in components.items() if entry["job"]] == ["migrate"]
    assert [name for name, entry in components.items() if entry["source"]] == ["brewery-api"]
