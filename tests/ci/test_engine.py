from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ci import engine
from ci.engine import candidates, validated
from ci.errors import UsageError

RUNNER = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
SESSION = {"DAGGER_SESSION_PORT": "1234", "DAGGER_SESSION_TOKEN": "t"}


def docker() -> str | None:
    return "docker"


def nothing() -> str | None:
    return None


def not_asked() -> str | None:
    raise AssertionError("a container runtime was looked for without need")


@pytest.mark.parametrize(
    ("option", "environ", "runtime", "names"),
    [
        pytest.param("auto", SESSION, not_asked, ["session"], id="session"),
        pytest.param("auto", {RUNNER: "tcp://a:1"}, not_asked, ["runner host"], id="runner-host"),
        pytest.param(
            "auto", {**SESSION, RUNNER: "tcp://a:1"}, not_asked, ["session"], id="session-first"
        ),
        pytest.param("auto", {"DAGGER_SESSION_PORT": "1"}, nothing, ["embedded"], id="no-token"),
        pytest.param("auto", {}, docker, ["dagger", "embedded"], id="runtime-then-embedded"),
        pytest.param("auto", {}, nothing, ["embedded"], id="nothing-there"),
        pytest.param("auto", {"GITHUB_ACTIONS": "true"}, not_asked, ["dagger"], id="github"),
        pytest.param("embedded", SESSION, not_asked, ["embedded"], id="forced-embedded"),
        pytest.param("dagger", SESSION, not_asked, ["dagger"], id="forced-dagger"),
        pytest.param("tcp://b:2", SESSION, not_asked, ["runner host"], id="forced-url"),
    ],
)
def test_the_choice_follows_the_design(
    option: str, environ: dict[str, str], runtime: Callable[[], str | None], names: list[str]
) -> None:
    assert [item.name for item in candidates(option, environ, runtime)] == names


def test_a_forced_engine_unsets_what_would_overrule_it() -> None:
    (embedded,) = candidates("embedded", SESSION, not_asked)
    assert {name for name, value in embedded.environ.items() if value is None} == {
        *SESSION,
        RUNNER,
        "_EXPERIMENTAL_DAGGER_CLI_BIN",
    }
    (host,) = candidates("tcp://b:2", SESSION, not_asked)
    assert host.environ == {**dict.fromkeys(SESSION), RUNNER: "tcp://b:2"}


def test_an_existing_session_is_used_as_it_is() -> None:
    (session,) = candidates("auto", SESSION, not_asked)
    assert session.environ == {}


def test_each_choice_says_why() -> None:
    first, second = candidates("auto", {}, docker)
    assert first.why == "docker answers"
    assert second.why == "docker answers, but the Dagger engine cannot be had"
    assert candidates("auto", {}, nothing)[0].why == "no container runtime answers"


@pytest.mark.parametrize("option", ["auto", "embedded", "dagger", "tcp://host:1", "ssh://a@b"])
def test_known_engines_are_taken(option: str) -> None:
    assert validated(option) == option


@pytest.mark.parametrize(
    ("option", "hint"), [("embeded", "did you mean embedded?"), ("kaniko", "give auto, embedded")]
)
def test_an_unknown_engine_is_refused_with_a_hint(option: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        validated(option)
    assert hint in raised.value.message


@pytest.mark.parametrize(("code", "expected"), [(0, "podman"), (1, None)])
def test_a_runtime_counts_only_when_its_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: str | None
) -> None:
    podman = tmp_path / "podman"
    podman.write_text(f"#!/bin/sh\nexit {code}\n")
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "_RUNTIMES", ("no-such-runtime", "podman"))
    assert engine.answering_runtime() == expected


def test_a_runtime_that_hangs_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*command: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("docker", 10)

    (tmp_path / "docker").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", hang)
    assert engine.answering_runtime() is None
