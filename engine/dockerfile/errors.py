"""What can be wrong with a Dockerfile or with a build of it, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import EngineError, ExecError

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instruction stands, and its text with the continuations joined."""

    name: str
    line: int
    instruction: str

    def __str__(self) -> str:
        shown = self.instruction.split("\n", 1)[0].strip()
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "…"
        return f"{self.name}:{self.line}{': ' + shown if shown else ''}"

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever goes wrong in here is told as an error of this place, unless it has its own."""
        try:
            yield
        except DockerfileError as error:
            raise error.located(self.line, self.name, self.instruction) from None
        except ExecError as error:
            raise error.retold(f"{error} ({self})") from None
        except EngineError as error:
            raise DockerfileError(
                str(error), self.line, name=self.name, instruction=self.instruction
            ) from None


class DockerfileError(EngineError):
    """Raised when a Dockerfile cannot be read or built; its text names file, line and instruction.

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
        where = str(Place(name, line, instruction)) if line else name
        super().__init__(f"{message} ({where})")

    def located(self, line: int, name: str, instruction: str) -> DockerfileError:
        """The same error with a place, where it has none of its own."""
        if self.line:
            return self
        return DockerfileError(self.message, line, name=name, instruction=instruction)


class UnboundVariable(EngineError):
    """Raised for a reference to a variable that is not set, where that is no empty text."""


class ExpansionError(DockerfileError):
    """Raised when a word to expand is malformed, or a variable that it requires is not set."""
