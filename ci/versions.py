"""The one version of the product."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ci.errors import UsageError


def read_version(root: Path) -> str:
    """Version of `pyproject.toml`, the only place that holds it; raises UsageError without one."""
    try:
        with (root / "pyproject.toml").open("rb") as file:
            version = tomllib.load(file)["project"]["version"]
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"pyproject.toml tells no version ({error!r}): give it one under [project]."
        ) from error
    return str(version)
