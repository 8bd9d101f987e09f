"""The one version of the product, and the tag that every commit's image bears."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ci.source import Git


def read_version(root: Path) -> str:
    """Version of `pyproject.toml`, the only place that holds it."""
    with (root / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    return str(version)


def commit_tag(git: Git) -> str:
    """`sha-<7>` of the commit; a tree that differs from it says so, and one without git too."""
    if git.commit is None:
        return "sha-unknown"
    return f"sha-{git.commit[:7]}" + ("-dirty" if git.dirty else "")
