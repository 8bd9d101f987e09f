"""Where COPY and mounts take files from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model import Container, Directory


@dataclass(frozen=True, slots=True)
class Source:
    """Files, and the container whose they are."""

    directory: Directory
    container: Container


Sources = Mapping[str, Source]
"""What the `from` of a stage's instructions name; "" is the context."""
