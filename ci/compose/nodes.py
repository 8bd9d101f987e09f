"""YAML whose values know their line, so that an error can name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from ci.compose.interpolation import interpolate
from ci.compose.types import ComposeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What all values of one file share."""

    name: str
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of the file, with its line (the key's, where it has one)."""

    document: Document
    value: yaml.Node
    line: int

    def error(self, problem: str) -> ComposeError:
        """An error that points at this value."""
        return ComposeError(f"{self.document.name}:{self.line}: {problem}.")

    def is_null(self) -> bool:
        """Whether nothing is written here."""
        return self.value.tag == "tag:yaml.org,2002:null"

    def is_mapping(self) -> bool:
        """Whether this holds keys and values."""
        return isinstance(self.value, yaml.MappingNode)

    def is_sequence(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.value, yaml.SequenceNode)

    def mapping(self) -> dict[str, Node]:
        """Keys and values; `<<` is merged, and a key written here wins over a merged one."""
        if self.is_null():
            return {}
        if not isinstance(self.value, yaml.MappingNode):
            raise self.error("a mapping is wanted here")
        yaml.SafeLoader("").flatten_mapping(self.value)
        return {
            str(key.value): Node(document=self.document, value=value, line=key.start_mark.line + 1)
            for key, value in self.value.value
        }

    def items(self) -> list[Node]:
        """The entries of a list."""
        if not isinstance(self.value, yaml.SequenceNode):
            raise self.error("a list is wanted here")
        return [
            Node(document=self.document, value=item, line=item.start_mark.line + 1)
            for item in self.value.value
        ]

    def text(self) -> str:
        """A scalar as text, its variables replaced."""
        if not isinstance(self.value, yaml.ScalarNode):
            raise self.error("a single value is wanted here")
        try:
            return interpolate(self.value.value, self.document.environ)
        except ValueError as error:
            raise self.error(str(error)) from error

    def boolean(self) -> bool:
        """A scalar that says true or false."""
        match self.text().lower():
            case "true" | "yes" | "on":
                return True
            case "false" | "no" | "off":
                return False
            case other:
                raise self.error(f"true or false is wanted here, not {other!r}")

    def whole(self) -> int:
        """A scalar that is a whole number."""
        text = self.text()
        if not text.isdecimal():
            raise self.error(f"a whole number is wanted here, not {text!r}")
        return int(text)


def read_yaml(text: str, *, name: str, environ: Mapping[str, str]) -> Node:
    """The root of a YAML text; raises ComposeError with the line where it is no YAML."""
    document = Document(name=name, environ=environ)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ComposeError(f"{name}:{line}: {error.problem or error.context}.") from error
    if root is None:
        raise ComposeError(f"{name}: the file is empty.")
    return Node(document=document, value=root, line=root.start_mark.line + 1)
