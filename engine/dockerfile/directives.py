"""The `# name=value` lines that may open a Dockerfile."""

from __future__ import annotations

import re

from engine.dockerfile.characters import SPACES, quoted
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.instructions import Directives, Dockerfile

_LINE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_NAMES = ("syntax", "escape", "check")
_OPTIONS = ("skip", "experimental", "error")
_BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
_FRONTEND = re.compile(
    r"((index\.)?docker\.io/)?(docker|moby)/dockerfile(-upstream)?([:@].*)?|dockerfile\.v0"
)


class DirectiveReader:
    """Reads lines for as long as they are directives; each may be given once."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lines: dict[str, int] = {}
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
            lines=self._lines,
        )

    def read(self, line: str, number: int) -> None:
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
        self._lines[name] = number


def check_frontend(file: Dockerfile) -> None:
    """Refuse a `# syntax` line of a frontend that is not the Dockerfile's, and bad `# check` lines.

    The checks themselves only ever warn when a program builds, so there is nothing to do for them.
    """
    values = {"syntax": file.directives.syntax, "check": file.directives.check}
    for name, value in values.items():
        line = file.directives.lines.get(name, 0)
        with Place(file.name, line, f"# {name}={value}").blamed():
            _CHECKERS[name]((value or "").partition(" ")[0])


def _check_syntax(text: str) -> None:
    if text and not _FRONTEND.fullmatch(text):
        raise DockerfileError(
            f"syntax frontend {quoted(text)} is unsupported: only docker/dockerfile is built in"
        )


def _check_options(text: str) -> None:
    for option in filter(None, text.split(";", 2)):
        name, equals, value = option.partition("=")
        bad = option if not equals else name if name not in _OPTIONS else ""
        if bad:
            raise DockerfileError(
                f"failed to parse check options: invalid check option {quoted(bad)}"
            )
        if name == "error" and value not in _BOOLEANS:
            raise DockerfileError(
                f"failed to parse check options: failed to parse check option {quoted(option)}"
            )


_CHECKERS = {"syntax": _check_syntax, "check": _check_options}
