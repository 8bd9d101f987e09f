"""The table of stand-ins, as the tests read it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"


def recipes() -> list[dict[str, Any]]:
    """The entries of `images.toml`."""
    table = tomllib.loads((IMAGES / "images.toml").read_text())
    return list(table["image"])


def names() -> list[str]:
    """Every image that has a stand-in."""
    return [name for recipe in recipes() for name in recipe["names"]]
