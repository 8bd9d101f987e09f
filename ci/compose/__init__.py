"""The stack that a compose file describes: read into plain values, then into services."""

from ci.compose.file import read_compose
from ci.compose.types import Compose, ComposeError

__all__ = ["Compose", "ComposeError", "read_compose"]
