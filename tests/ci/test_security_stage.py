"""The security stage on small repositories, with the true scanners."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagger
import pytest

from ci.errors import CheckFailed
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context, Result
from ci.stages import security
from tests.images.recipes import ROOT
from tests.images.session import Ask, embedded_session

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

CLEAN_DOCKERFILE = "FROM debian:bookworm-slim\nUSER 1000\n"
# Put together here, or the scan of this repository would find it in this very file.
KEY = "AKIA" + "IOSFODNN7EXAMPLA"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with embedded_session(tmp_path_factory.mktemp("engine")) as asked:
        yield asked


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository in which there is nothing to find."""
    root = tmp_path / "repository"
    for folder in security.CODE:
        (root / folder).mkdir(parents=True)
        (root / folder / "clean.py").write_text("print('cheers')\n")
    (root / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "dev.txt", root / "requirements")
    (root / "Dockerfile").write_text(CLEAN_DOCKERFILE)
    (root / "pyproject.toml").write_text('[project]\nversion = "1.0"\n')
    return root


def run(ask: Ask, root: Path) -> Result:
    report = root.parent / "reports"
    report.mkdir()

    async def stage(client: dagger.Client) -> Result:
        context = Context(
            client=client,
            root=root,
            git=Git(commit=None, branch=None),
            settings=Settings.from_environment({}),
            reports=report,
            report=report,
            say=print,
            tell=print,
        )
        return await security.run(context)

    result: Result = ask(stage)
    return result


def test_clean_repository_passes_and_its_scans_are_artifacts(ask: Ask, repository: Path) -> None:
    result = run(ask, repository)

    assert result.reason.startswith(("nothing found", "1 below HIGH"))
    artifacts = {path.name for path in (repository.parent / "reports").iterdir()}
    assert artifacts >= {"trivy.sarif", "bandit.sarif", "findings.txt"}


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        pytest.param(
            "ci/shell.py",
            "import subprocess\n\nsubprocess.call(input(), shell=True)\n",
            "ci/shell.py:3: Bandit B602",
            id="dangerous Python",
        ),
        pytest.param(
            "dags/broken.py", "def f(:\n", "dags/broken.py: Bandit not scanned", id="not Python"
        ),
        pytest.param(
            "Dockerfile",
            "FROM debian:bookworm-slim\nUSER root\n",
            "Dockerfile:2: Trivy DS-0002",
            id="image that runs as root",
        ),
        pytest.param(
            "deploy/settings.yaml",
            f"region: eu\nkey: {KEY}\n",
            "deploy/settings.yaml:2: Trivy aws-access-key-id",
            id="secret",
        ),
    ],
)
def test_what_is_grave_fails_and_is_named(
    ask: Ask, repository: Path, path: str, text: str, found: str
) -> None:
    (repository / path).parent.mkdir(exist_ok=True)
    (repository / path).write_text(text)

    with pytest.raises(CheckFailed) as caught:
        run(ask, repository)

    assert found in caught.value.detail
    assert KEY not in caught.value.detail
    artifacts = {file.name for file in (repository.parent / "reports").iterdir()}
    assert artifacts >= {"trivy.sarif", "bandit.sarif", "findings.txt"}
