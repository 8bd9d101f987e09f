from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ci import main as entry
from ci import workflow
from ci.command_line import parse
from ci.errors import Refused
from tests.ci import ROOT
from tests.ci.smtp_server import Mailbox, listening

pytestmark = pytest.mark.usefixtures("on_its_own")

SCHEMA = json.loads((ROOT / "ci" / "report.schema.json").read_text())


def run(folder: Path, *arguments: str) -> int:
    return workflow.main(parse([*arguments, "--report", str(folder)], ROOT), ROOT)


def summary(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "summary.json").read_text())
    jsonschema.validate(found, SCHEMA)
    assert isinstance(found, dict)
    return found


def statuses(folder: Path) -> dict[str, str]:
    stages = summary(folder)["stages"]
    assert isinstance(stages, list)
    return {stage["name"]: stage["status"] for stage in stages}


def test_a_stage_without_containers_starts_no_engine(tmp_path: Path) -> None:
    assert run(tmp_path / "r", "notify") == 0
    found = summary(tmp_path / "r")
    assert found["engine"] is None and found["status"] == "passed"
    assert statuses(tmp_path / "r")["notify"] == "passed"
    assert (tmp_path / "r" / "notify" / "archive.tar.gz").exists()


def test_the_record_lists_every_stage_of_the_drawing(tmp_path: Path) -> None:
    run(tmp_path / "r", "notify")
    assert list(statuses(tmp_path / "r")) == [
        "lint",
        "test",
        "build",
        "integration",
        "security",
        "promote",
        "deploy-staging",
        "deploy-production",
        "release",
        "nightly",
        "notify",
    ]


def test_json_prints_the_record_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "r", "notify", "--json")
    assert json.loads(capsys.readouterr().out) == summary(tmp_path / "r")


def test_a_second_run_starts_from_an_empty_report(tmp_path: Path) -> None:
    run(tmp_path / "r", "notify")
    (tmp_path / "r" / "lint").mkdir()
    (tmp_path / "r" / "lint" / "old.txt").touch()
    run(tmp_path / "r", "notify")
    assert not (tmp_path / "r" / "lint").exists()


def test_an_engine_that_does_not_start_is_one_clear_message_a_record_and_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "engine"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", str(broken))
    with listening(Mailbox()) as mailbox:
        monkeypatch.setenv("BREWLINE_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("BREWLINE_SMTP_PORT", str(mailbox.port))
        monkeypatch.setenv("BREWLINE_SMTP_FROM", "ci@example.org")
        monkeypatch.setenv("BREWLINE_SMTP_TO", "team@example.org")
        assert run(tmp_path / "r", "nightly", "--engine", "dagger") == 3
    (message,) = mailbox.messages
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    said = capsys.readouterr().out
    assert "nightly: failed: No engine starts: dagger" in said
    assert "nightly: failed (infrastructure) - No engine starts: dagger" in body.decode()
    for text in (said, body.decode()):
        assert "no such luck" in text
    assert (tmp_path / "r/notify/archive.tar.gz").exists()
    found = summary(tmp_path / "r")
    assert (found["status"], found["failure"], found["exit_code"]) == (
        "failed",
        "infrastructure",
        3,
    )


def test_the_entry_turns_an_error_into_its_exit_code_and_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object, root: Path) -> int:
        raise Refused("Not from here.", detail="a line that shows it")

    monkeypatch.setattr("ci.planning.main", refuse)
    assert entry.main(["plan"]) == 4
    assert capsys.readouterr().err == "brewline: Not from here.\na line that shows it\n"


@pytest.mark.parametrize(
    ("branch", "arguments", "code", "why"),
    [
        ("feature/x", ["deploy", "staging"], 4, "feature/x is not deployed to staging"),
        ("develop", ["deploy", "production"], 4, "develop is not deployed to production"),
        ("feature/x", ["release"], 4, "feature/x is not released"),
    ],
)
def test_policy_refuses_a_deployment_from_the_wrong_branch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    branch: str,
    arguments: list[str],
    code: int,
    why: str,
) -> None:
    monkeypatch.setenv("GITHUB_REF", f"refs/heads/{branch}")
    monkeypatch.setenv("GITHUB_REF_TYPE", "branch")
    assert run(tmp_path / "r", *arguments) == code
    assert why in capsys.readouterr().out
    assert summary(tmp_path / "r")["failure"] == "refused"
