from __future__ import annotations

from pathlib import Path

import pytest

from ci import planning
from ci.command_line import parse
from ci.errors import InfrastructureError, Refused, UsageError
from ci.publishing.access import denied, require_login
from ci.publishing.destination import Destination, acts, destination, login, require_publishable
from ci.source import Git, read_git
from tests.ci.publishing import committed, git

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "bob", "GITHUB_TOKEN": "t0ken"}


@pytest.mark.parametrize(
    ("asked", "environ", "publishes"),
    [
        pytest.param(False, {}, False, id="not-asked"),
        pytest.param(True, {}, True, id="asked"),
        pytest.param(False, {"GITHUB_TOKEN": "t", "GITHUB_ACTOR": "b"}, False, id="not-on-github"),
        pytest.param(False, GITHUB, True, id="on-github-with-a-login"),
        pytest.param(False, {"GITHUB_ACTIONS": "true"}, False, id="on-github-without"),
        pytest.param(
            False, {**GITHUB, "GITHUB_EVENT_NAME": "pull_request"}, False, id="pull-request"
        ),
        pytest.param(
            False, {**GITHUB, "GITHUB_EVENT_NAME": "merge_group"}, False, id="merge-queue"
        ),
        pytest.param(
            False, {**GITHUB, "GITHUB_REF": "refs/pull/7/merge"}, False, id="merge-reference"
        ),
    ],
)
def test_a_run_publishes_when_asked_and_on_github_when_it_may(
    asked: bool, environ: dict[str, str], publishes: bool
) -> None:
    assert acts(asked, environ) is publishes


def test_githubs_token_is_for_github_alone() -> None:
    assert login("ghcr.io", GITHUB) == ("bob", "t0ken")
    assert login("registry.test", GITHUB) == ("", "")
    ours = {**GITHUB, "BREWLINE_REGISTRY_USER": "u", "BREWLINE_REGISTRY_PASSWORD": "p"}
    assert login("ghcr.io", ours) == login("registry.test", ours) == ("u", "p")


@pytest.mark.parametrize("name", ["BREWLINE_REGISTRY_USER", "BREWLINE_REGISTRY_PASSWORD"])
def test_half_a_login_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is set and .* is not"):
        login("registry.test", {name: "x"})


@pytest.mark.parametrize(
    ("repository", "loopback"),
    [
        ("localhost:5000/a", True),
        ("127.0.0.1:5000/a", True),
        ("[::1]:5000/a", True),
        ("ghcr.io/o/r", False),
        ("127.0.0.2:5000/a", False),
        ("localhost.evil.test/a", False),
    ],
)
def test_a_stand_in_may_stay_on_this_machine(repository: str, loopback: bool) -> None:
    assert Destination(repository=repository).loopback is loopback


def test_without_any_login_a_registry_of_others_is_not_even_asked(tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    with pytest.raises(UsageError, match="no credentials for ghcr.io: set BREWLINE_REGISTRY_USER"):
        require_login(Destination(repository="ghcr.io/o/r"), environ)
    require_login(Destination(repository="localhost:5000/a"), environ)
    require_login(Destination(repository="ghcr.io/o/r", user="u", password="p"), environ)
    # dTpw is u:p, as `docker login` keeps it.
    (tmp_path / "config.json").write_text('{"auths": {"ghcr.io": {"auth": "dTpw"}}}')
    require_login(Destination(repository="ghcr.io/o/r"), environ)


def test_a_docker_configuration_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InfrastructureError, match="config.json cannot be read"):
        require_login(Destination(repository="ghcr.io/o/r"), {"DOCKER_CONFIG": str(tmp_path)})


def test_a_refused_login_tells_what_to_do() -> None:
    message = denied("ghcr.io").message
    assert "expired" in message and "docker login ghcr.io" in message


@pytest.mark.parametrize(
    ("git", "environ", "message"),
    [
        (Git(commit=None, branch=None), {}, "no commit"),
        (Git(commit="a" * 40, branch="main", changed="file"), {}, "changes that no commit holds"),
        (
            Git(commit="a" * 40, branch=None),
            {"GITHUB_EVENT_NAME": "pull_request_target"},
            "pull request publishes nothing",
        ),
    ],
)
def test_what_is_no_commit_of_ours_is_not_published(
    git: Git, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        require_publishable(git, environ)


def test_a_key_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="BREWLINE_SIGNING_KEY names nowhere.pem"):
        destination("ghcr.io/o/r", {"BREWLINE_SIGNING_KEY": "nowhere.pem"})
    key = tmp_path / "key.pem"
    key.touch()
    found = destination("ghcr.io/o/r", {"BREWLINE_SIGNING_KEY": str(key)})
    assert found.signing_key == found.trusted_key == key
    other = tmp_path / "other.pem"
    other.touch()
    environ = {"BREWLINE_SIGNING_KEY": str(key), "BREWLINE_VERIFY_KEY": str(other)}
    assert destination("ghcr.io/o/r", environ).trusted_key == other


def test_a_plan_says_what_would_be_pushed_or_why_it_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_REF", "GITHUB_EVENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    tree = committed(tmp_path / "tree", {"pyproject.toml": '[project]\nversion = "1"\n'})
    commit = read_git(tree, {}).commit or ""

    def lines(*words: str) -> list[str]:
        planning.main(parse(["plan", *words], tree), tree)
        return capsys.readouterr().out.splitlines()

    asked = ("--publish", "--registry", "localhost:5000/Our/Product")
    assert lines(*asked)[1] == f"publishes localhost:5000/our/product:sha-{commit[:7]}"
    assert any(line.split()[:2] == ["run", "promote"] for line in lines(*asked))
    assert lines()[1] == "publishes nothing: only `--publish` acts"
    (tree / "pyproject.toml").write_text('[project]\nversion = "1.0-beta"\n')
    git(tree, "commit", "-qam", "A version that is none")
    with pytest.raises(UsageError, match="not one of PEP 440"):
        lines(*asked)
    (tree / "new").touch()
    with pytest.raises(Refused, match="changes that no commit holds"):
        lines(*asked)
