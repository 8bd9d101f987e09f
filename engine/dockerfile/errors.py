"""What can be wrong with a Dockerfile."""

from __future__ import annotations

from engine.errors import EngineError

_SHOWN = 200


class DockerfileError(EngineError):
    """Raised when a Dockerfile cannot be read; its text names file, line and instruction.

    `line` is 0 where no line is to blame, and `instruction` the text of the line with its
    continuations joined.
    """

    def __init__(
        self, message: str, line: int = 0, *, name: str = "Dockerfile", instruction: str = ""
    ) -> None:
        self.message = message
        self.line = line
        self.name = name
        self.instruction = instruction
        super().__init__(self._text())

    def _text(self) -> str:
        if not self.line:
            return f"{self.message} ({self.name})"
        shown = self.instruction.split("\n", 1)[0].strip()
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "…"
        return f"{self.message} ({self.name}:{self.line}{': ' + shown if shown else ''})"

    def located(self, line: int, name: str, instruction: str) -> DockerfileError:
        """The same error with a place, where it has none of its own."""
        if self.line:
            return self
        return DockerfileError(self.message, line, name=name, instruction=instruction)


class ExpansionError(DockerfileError):
    """Raised when a word to expand is malformed, or a variable that it requires is not set."""
