"""What an engine is started with, read from the environment once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError

_EXEC_SECONDS = 3600.0
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the store is, and what the client wants to be told."""

    store: Path
    store_size: int | None = None
    """The bytes that the store may take, if the client has set them."""
    exec_seconds: float | None = _EXEC_SECONDS
    """How long a command may run; None for as long as it likes."""
    images: Path | None = None
    events: Path | None = None
    interactive: bool = False
    """Whether a terminal is opened in the container of the first command that fails."""
    workdir: Path = field(default_factory=Path.cwd)

    @classmethod
    def from_env(cls, env: Mapping[str, str], workdir: Path) -> Settings:
        """Read the variables whose names begin with BREWLINE_.

        Raises EngineError if the value of one cannot be meant.
        """
        cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "/root")) / ".cache")
        images, events = env.get("BREWLINE_IMAGES"), env.get("BREWLINE_EVENTS")
        return cls(
            store=Path(env.get("BREWLINE_STORE") or cache / "brewline" / "store").absolute(),
            store_size=_size(env.get("BREWLINE_STORE_SIZE", "")),
            exec_seconds=_seconds(env.get("BREWLINE_EXEC_TIMEOUT", "")),
            images=Path(images).absolute() if images else None,
            events=Path(events).absolute() if events else None,
            interactive=bool(env.get("BREWLINE_INTERACTIVE")),
            workdir=workdir,
        )


def _size(text: str) -> int | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]B)", text.strip())
    if found is None:
        raise EngineError(f"BREWLINE_STORE_SIZE is {text!r}: write a size such as 500MB or 20GB")
    return int(float(found[1]) * _UNITS[found[2]])


def _seconds(text: str) -> float | None:
    if not text:
        return _EXEC_SECONDS
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()):
        raise EngineError(f"BREWLINE_EXEC_TIMEOUT is {text!r}: write seconds, or 0 for no limit")
    return float(text) or None
