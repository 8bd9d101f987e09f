"""The `# name=value` lines that may open a Dockerfile."""

from __future__ import annotations

import re

from engine.dockerfile.characters import SPACES
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.instructions import Directives

_LINE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_NAMES = ("syntax", "escape", "check")


class DirectiveReader:
    """Reads lines for as long as they are directives; each may be given once."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._open = True

    @property
    def escape(self) -> str:
        """The character that escapes and continues lines."""
        return self._values.get("escape", "\\")

    def directives(self) -> Directives:
        """What was read."""
        return Directives(
            syntax=self._values.get("syntax"),
            escape=self.escape,
            check=self._values.get("check"),
        )

    def read(self, line: str) -> None:
        """Take `line` when it is a directive; the first line that is none ends them all."""
        match = _LINE.match(line[1:].lstrip(SPACES)) if line.startswith("#") else None
        name = match[1].lower() if match else ""
        if not self._open or not match or name not in _NAMES:
            self._open = False
            return
        if name in self._values:
            raise DockerfileError(f"only one {name} parser directive can be used")
        if name == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(f"invalid escape token '{match[2]}' does not match ` or \\")
        self._values[name] = match[2]
