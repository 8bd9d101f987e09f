"""The text of a query as nested selections.

What the SDK sends is one chain of fields with literal arguments: it is read here, in a tenth of
the time and without the import of graphql-core, which takes as long as the rest of the engine.
Whatever else GraphQL allows, and whatever is wrong, is left to graphql-core.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import EngineError
from engine.typesystem import EnumValue

if TYPE_CHECKING:
    from graphql import FieldNode, SelectionSetNode, ValueNode

DEEPEST = 10_000
"""How deep selections may be nested: the SDK nests one level for each call of a chain."""
RECURSION_LIMIT = 12 * DEEPEST
"""What a process that answers queries sets: it is the whole process's, so no import does."""


@dataclass(slots=True)
class Selection:
    """A field that is asked for."""

    name: str
    key: str
    """What it is called in the answer."""
    arguments: dict[str, Any]
    selections: list[Selections] | None = None


@dataclass(slots=True)
class Fragment:
    """Selections that hold for a type."""

    type: str
    selections: list[Selections] = field(default_factory=list)


Selections: TypeAlias = "Selection | Fragment"


class _Unusual(Exception):
    """The text is not of the shape that the SDK sends."""


_TOKEN = re.compile(
    r"[ \t\n\r,\ufeff]*(?:"
    r"(?P<name>[_A-Za-z][_0-9A-Za-z]*)"
    # Possessive: a long text would leave as many places to come back to as it has escapes.
    r'|(?P<string>(?!""")"[^"\\\n\r]*+(?:\\.[^"\\\n\r]*+)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![_.0-9A-Za-z]))"
    r"|(?P<mark>\.\.\.|[{}()\[\]:])"
    r"|(?P<end>\Z))"
)
_WORDS = {"true": True, "false": False, "null": None}


def parse(text: str) -> list[Selections]:
    """The selections of a query's operation. Raises EngineError if it is none."""
    try:
        return _Reader(text).document()
    except _Unusual:
        return _parsed_by_the_book(text)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kind, self._token = "", ""
        self._next()

    def _next(self) -> str:
        """Go on to the next token; the one that was the current."""
        before = self._token
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            raise _Unusual
        self._kind, self._token = match.lastgroup, match[match.lastgroup]
        self._at = match.end()
        return before

    def _expect(self, kind: str, token: str | None = None) -> str:
        if self._kind != kind or (token is not None and self._token != token):
            raise _Unusual
        return self._next()

    def _skip(self, token: str) -> bool:
        found = self._kind == "mark" and self._token == token
        if found:
            self._next()
        return found

    def document(self) -> list[Selections]:
        if self._kind == "name":
            self._expect("name", "query")
            if self._kind == "name":
                self._next()
        self._expect("mark", "{")
        outermost: list[Selections] = []
        # Not by recursion: a chain may be thousands of fields deep.
        levels = [outermost]
        while levels:
            if len(levels) > DEEPEST:
                raise EngineError(f"the query is nested deeper than {DEEPEST}")
            if self._skip("}"):
                if not levels.pop():
                    raise _Unusual
                continue
            inner = self._selection(levels[-1])
            if inner is not None:
                levels.append(inner)
        self._expect("end")
        return outermost

    def _selection(self, into: list[Selections]) -> list[Selections] | None:
        """Read a selection up to its brace; where what is in its braces belongs."""
        if self._skip("..."):
            self._expect("name", "on")
            fragment = Fragment(self._expect("name"))
            into.append(fragment)
            self._expect("mark", "{")
            return fragment.selections
        key = name = self._expect("name")
        if self._skip(":"):
            name = self._expect("name")
        arguments = self._arguments() if self._skip("(") else {}
        selection = Selection(name, key, arguments)
        into.append(selection)
        if self._skip("{"):
            selection.selections = []
        return selection.selections

    def _arguments(self, closing: str = ")") -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._skip(closing):
            name = self._expect("name")
            self._expect("mark", ":")
            if name in found:
                raise _Unusual
            found[name] = self._value()
        if not found and closing == ")":
            raise _Unusual
        return found

    def _value(self) -> Any:
        if self._kind == "name":
            word = self._next()
            return _WORDS[word] if word in _WORDS else EnumValue(word)
        if self._kind == "string":
            return _string(self._next())
        if self._kind == "number":
            return _number(self._next())
        if self._skip("["):
            items = []
            while not self._skip("]"):
                items.append(self._value())
            return items
        self._expect("mark", "{")
        return self._arguments("}")


def _string(token: str) -> str:
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        raise _Unusual from None
    if "\\u" in token and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Unusual
    assert isinstance(value, str)
    return value


def _number(token: str) -> int | float:
    return int(token) if token.lstrip("-").isdigit() else float(token)


def _parsed_by_the_book(text: str) -> list[Selections]:
    """The same by graphql-core, whose words for what is wrong are those that users know."""
    import graphql
    from graphql.language import parser

    # It stops at 200; the SDK nests one level for each call.
    parser.MAX_NESTING_DEPTH = DEEPEST
    try:
        document = graphql.parse(text, no_location=True)
    except graphql.GraphQLError as error:
        # Not the text around it, which may hold a secret.
        raise EngineError(error.message) from None
    for definition in document.definitions:
        if isinstance(definition, graphql.OperationDefinitionNode):
            if definition.operation is not graphql.OperationType.QUERY:
                raise EngineError(f"the API has no {definition.operation.value}: ask a query")
            return _selections(definition.selection_set)
    raise EngineError("the query holds no operation")


def _selections(found: SelectionSetNode) -> list[Selections]:
    from graphql import FieldNode, InlineFragmentNode

    if not found.selections:
        raise EngineError("nothing is selected")
    made: list[Selections] = []
    for node in found.selections:
        if isinstance(node, FieldNode):
            made.append(_selection(node))
        elif isinstance(node, InlineFragmentNode) and node.type_condition:
            inner = _selections(node.selection_set)
            made.append(Fragment(node.type_condition.name.value, inner))
        elif isinstance(node, InlineFragmentNode):
            made += _selections(node.selection_set)
        else:
            raise EngineError("fragment spreads are not supported")
    return made


def _selection(node: FieldNode) -> Selection:
    arguments = {each.name.value: _literal(each.value) for each in node.arguments or ()}
    name = node.name.value
    selections = _selections(node.selection_set) if node.selection_set else None
    return Selection(name, node.alias.value if node.alias else name, arguments, selections)


def _literal(node: ValueNode) -> Any:
    import graphql

    match node:
        case graphql.VariableNode():
            raise EngineError(f"variable ${node.name.value}: variables are not supported")
        case graphql.EnumValueNode():
            return EnumValue(node.value)
        case graphql.ListValueNode():
            return [_literal(item) for item in node.values]
        case graphql.ObjectValueNode():
            return {entry.name.value: _literal(entry.value) for entry in node.fields}
        case graphql.IntValueNode() | graphql.FloatValueNode():
            return _number(node.value)
        case graphql.StringValueNode() | graphql.BooleanValueNode():
            return node.value
    return None
