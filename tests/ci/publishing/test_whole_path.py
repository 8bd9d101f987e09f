"""From a commit to its promotion, by the command that a person types, with the true stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci import registry
from ci.publishing.destination import Destination
from ci.publishing.promotion import digest_of
from tests.ci import ROOT
from tests.ci.publishing import committed, git, within

pytestmark = [
    pytest.mark.engine,
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root"),
]

FOLDERS = ("ci", "engine", "images", "pipeline", "dags", "tests", "requirements")
FILES = (
    *("Dockerfile", ".dockerignore", ".gitignore", "compose.yaml"),
    *("pyproject.toml", "README.md", "LICENSE"),
)
STAGES = ("build", "integration", "security", "promote")


@pytest.fixture
def address(registry_program: Path, tmp_path: Path) -> Iterator[str]:
    with registry.running(registry_program, tmp_path) as address:
        yield address


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """This project as a commit on main."""
    copy = tmp_path / "tree"
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return committed(copy, {})


def run(tree: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and record of a run in a tree."""
    ours = ("DAGGER_", "GITHUB_", "BREWLINE_REGISTRY", "BREWLINE_SIGN")
    report = tree.parent / "reports"
    done = subprocess.run(
        [sys.executable, "ci/main.py", *arguments, "--engine", "embedded", "--report", str(report)],
        cwd=tree,
        env={name: value for name, value in os.environ.items() if not name.startswith(ours)},
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr)
    return done.returncode, json.loads((report / "summary.json").read_text())


def test_an_image_on_a_stand_in_goes_all_the_way_to_its_promotion_and_no_further(
    tree: Path, address: str
) -> None:
    where = Destination(repository=f"{address}/brewline")
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    asked = [word for name in STAGES for word in ("--only", name)]
    code, record = run(tree, "all", "--publish", "--registry", address, *asked)
    stages = {stage["name"]: stage for stage in record["stages"]}
    assert [stages[name]["status"] for name in STAGES] == ["passed"] * 3 + ["failed"]
    assert (code, record["failure"]) == (4, "refused")
    assert "stand-in for python:3.11" in stages["promote"]["reason"]
    # What the stack and the scanner saw is what was pushed; no moving tag is on it.
    digest = within(where, lambda r: digest_of(r, tag))
    assert digest and record["image"]["digest"] == digest
    assert within(where, lambda r: digest_of(r, "latest")) == ""
    again, record = run(tree, "build", "--publish", "--registry", address)
    assert again == 0 and record["image"]["digest"] == digest
