"""Stand-ins for `ci.tags` until it is there."""

from __future__ import annotations

from collections.abc import Mapping

from ci.errors import UsageError
from ci.source import Git


def moving_tags(git: Git, version: str) -> tuple[str, ...]:
    if git.branch == "main":
        return ("latest",)
    if git.branch and (git.branch == "develop" or git.branch.startswith("develop/")):
        return (f"develop-{version}",)
    return ()


def release_tag(version: str) -> str:
    return f"v{version}"


def repository(registry: str, environ: Mapping[str, str]) -> str:
    if "/" in registry:
        return registry.lower()
    name = environ.get("GITHUB_REPOSITORY", "").lower()
    if registry:
        return f"{registry}/{name or 'brewline'}"
    if not name:
        raise UsageError("No registry is named to publish to: give --registry HOST/PATH.")
    return f"ghcr.io/{name}"
