"""YAML whose values know their line, so that an error can name it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ci.compose.interpolation import interpolate
from ci.compose.types import ComposeError

_STANDARD = "tag:yaml.org,2002:"
# What YAML 1.2 takes for a number or a truth value when it is not quoted: Compose wants a text
# quoted then. YAML 1.1 takes more (`yes`, `22:22`), which Compose does not.
_NO_TEXT = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|true|True|TRUE|false|False|FALSE"
)


_TRUTH = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
# What Compose reads as a number or a day, and the numbers among them that it writes as they were.
_READ = re.compile(
    r"[-+]?(0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|\.(inf|Inf|INF)"
    r"|([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?)"
    r"|\.(nan|NaN|NAN)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?"
)
_AS_WRITTEN = re.compile(
    r"0|-?[1-9][0-9]{0,17}|-?(0\.0{0,3}[1-9]|[1-9][0-9]{0,5}\.)([0-9]{0,8}[1-9])?(?<!\.)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What all values of one file share."""

    path: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of the file, with its line (the key's, where it has one)."""

    document: Document
    value: yaml.Node
    line: int

    def error(self, problem: str) -> ComposeError:
        """An error that points at this value."""
        return ComposeError(f"{self.document.path.name}:{self.line}: {problem}.")

    def is_null(self) -> bool:
        """Whether nothing is written here."""
        return self.value.tag == f"{_STANDARD}null"

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
        try:
            yaml.SafeLoader("").flatten_mapping(self.value)
        except yaml.MarkedYAMLError as error:
            raise self.error("'<<' wants a mapping, or a list of mappings") from error
        return {
            key.value: Node(document=self.document, value=value, line=key.start_mark.line + 1)
            for key, value in self.value.value
        }

    def fields(self, where: str, *keys: str) -> dict[str, Node]:
        """The mapping's entries that say something; any key but these, and `x-…`, is an error."""
        given: dict[str, Node] = {}
        for key, value in self.mapping().items():
            if key.startswith("x-"):
                continue
            if key not in keys:
                raise value.error(f"{where}: '{key}' is not supported")
            if not value.is_null():
                given[key] = value
        return given

    def items(self) -> list[Node]:
        """The entries of a list."""
        if not isinstance(self.value, yaml.SequenceNode):
            raise self.error("a list is wanted here")
        return [
            replace(self, value=item, line=item.start_mark.line + 1) for item in self.value.value
        ]

    def one_or_more(self) -> list[Node]:
        """The entries of a list, or the one value that is written in place of a list."""
        return self.items() if self.is_sequence() else [self]

    def text(self) -> str:
        """A scalar as text, its variables replaced."""
        if not isinstance(self.value, yaml.ScalarNode):
            raise self.error("a single value is wanted here")
        if self.is_null():
            raise self.error("a value is wanted here, and none is written")
        try:
            return interpolate(self.value.value, self.document.environ)
        except ValueError as error:
            raise self.error(str(error)) from error

    def string(self) -> str:
        """A text; what YAML takes for a number or a truth value has to be quoted, as in Compose."""
        if _NO_TEXT.fullmatch(self._plain()):
            raise self.error(f"a text is wanted here: write '{self.value.value}' in quotes")
        return self.text()

    def word(self) -> str:
        """A text, a number or a truth value, as the text that Compose makes of it.

        A number that would read otherwise than it is written, such as a mode, has to be quoted.
        """
        plain = self._plain()
        if plain in _TRUTH:
            return plain.lower()
        if _READ.fullmatch(plain) and not _AS_WRITTEN.fullmatch(plain):
            raise self.error(f"Compose takes {plain} for a number or a day: write it in quotes")
        return self.text()

    def _plain(self) -> str:
        """What is written here without quotes, or ""."""
        plain = isinstance(self.value, yaml.ScalarNode) and self.value.style is None
        return str(self.value.value) if plain else ""

    def strings(self) -> tuple[str, ...]:
        """A list of texts, each of them once."""
        return tuple(dict.fromkeys(item.string() for item in self.items()))

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
        if not (text.isascii() and text.isdecimal()):
            raise self.error(f"a whole number is wanted here, not {text!r}")
        return int(text)

    def resolve(self) -> None:
        """Replace all variables of a value that has no effect: Compose wants them to be right."""
        if isinstance(self.value, yaml.MappingNode):
            for value in self.mapping().values():
                value.resolve()
        elif isinstance(self.value, yaml.SequenceNode):
            for item in self.items():
                item.resolve()
        elif not self.is_null():
            self.text()


def read_yaml(path: Path, environ: Mapping[str, str]) -> Node:
    """The root of a YAML file; raises ComposeError with the line where it is no YAML."""
    document = Document(path=path, environ=environ)
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ComposeError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ComposeError(f"{path.name} cannot be read: it is not UTF-8.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ComposeError(f"{path.name}:{line}: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise ComposeError(f"{path.name} is no YAML: {str(error).splitlines()[0]}.") from error
    if root is None:
        raise ComposeError(f"{path.name}: the file is empty.")
    for node, problem in _problems(root, set(), set()):
        at = Node(document=document, value=node, line=node.start_mark.line + 1)
        raise at.error(problem)
    return Node(document=document, value=root, line=root.start_mark.line + 1)


def _problems(node: yaml.Node, above: set[int], seen: set[int]) -> Iterator[tuple[yaml.Node, str]]:
    """What YAML allows and Compose does not, or what cannot be read to its end."""
    if id(node) in above:
        yield node, "an anchor holds itself"
        return
    if id(node) in seen:
        return
    seen.add(id(node))
    if not node.tag.startswith(_STANDARD):
        yield node, f"the tag '{node.tag}' is not supported"
    inside = {*above, id(node)}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _problems(item, inside, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield key, "a key is a single word"
            elif key.value in keys:
                yield key, f"'{key.value}' is written twice"
            else:
                keys.add(key.value)
            yield from _problems(value, inside, seen)
