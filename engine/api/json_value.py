"""Fields of JSONValue, and those that make one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.api.file import contents as file_contents
from engine.calls import field
from engine.errors import EngineError
from engine.jsontext import MOST_NESTED, parse
from engine.model import File

if TYPE_CHECKING:
    from engine.session import Session

_MOST = 2**31 - 1  # GraphQL integers have 32 bits


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value by its JSON text, which stays as it was written."""

    text: str = "null"

    @classmethod
    def parse(cls, text: str) -> JsonValue:
        """The value of a text. Raises EngineError if it is not JSON."""
        cls(text).value()
        return cls(text)

    @classmethod
    def of(cls, value: Any) -> JsonValue:
        """A value that is there."""
        return cls(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def value(self) -> Any:
        """The value. Raises EngineError if the text is not JSON."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise EngineError(f"invalid JSON: {error}") from None


def _decoded(held: JsonValue, kind: type, name: str) -> Any:
    value = held.value()
    # True is an integer in Python, not in JSON.
    if type(value) is not kind:
        raise EngineError(f"cannot decode JSON {_name(value)} as {name}")
    return value


def _name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


@field("Query", "json")
async def null(session: Session, _: None) -> JsonValue:
    """The value null."""
    return JsonValue()


@field("File", "asJSON")
async def as_json(session: Session, file: File) -> JsonValue:
    """The value in a file."""
    return JsonValue.parse(await file_contents(session, file))


@field("JSONValue", "contents")
async def contents(
    session: Session, held: JsonValue, pretty: bool = False, indent: str = "  "
) -> str:
    """The value as JSON text."""
    if not pretty:
        return held.text
    return json.dumps(held.value(), ensure_ascii=False, indent=indent)


@field("JSONValue", "withContents")
async def with_contents(session: Session, held: JsonValue, contents: str) -> JsonValue:
    """The value of another text."""
    return JsonValue.parse(contents)


@field("JSONValue", "newString", "newInteger", "newBoolean")
async def scalar(session: Session, held: JsonValue, value: str | int | bool) -> JsonValue:
    """A new value."""
    return JsonValue.of(value)


@field("JSONValue", "asString")
async def as_string(session: Session, held: JsonValue) -> str:
    """The value, which is a string."""
    return str(_decoded(held, str, "a string"))


@field("JSONValue", "asInteger")
async def as_integer(session: Session, held: JsonValue) -> int:
    """The value, which is an integer of at most 32 bits."""
    value = int(_decoded(held, int, "an integer"))
    if not -_MOST - 1 <= value <= _MOST:
        raise EngineError(f"the integer {value} has more than 32 bits")
    return value


@field("JSONValue", "asBoolean")
async def as_boolean(session: Session, held: JsonValue) -> bool:
    """The value, which is true or false."""
    return bool(_decoded(held, bool, "a boolean"))


@field("JSONValue", "asArray")
async def as_array(session: Session, held: JsonValue) -> list[JsonValue]:
    """The values of an array."""
    return [JsonValue.of(value) for value in _decoded(held, list, "an array")]


@field("JSONValue", "fields")
async def fields(session: Session, held: JsonValue) -> list[str]:
    """The names of an object's fields, sorted."""
    return sorted(_decoded(held, dict, "an object"))


@field("JSONValue", "field")
async def field_(session: Session, held: JsonValue, path: Sequence[str]) -> JsonValue:
    """The value at a path of field names."""
    value = held.value()
    for number, name in enumerate(path):
        if not isinstance(value, dict) or name not in value:
            raise EngineError(f"there is no field {'.'.join(path[: number + 1])} in the JSON value")
        value = value[name]
    return JsonValue.of(value)


@field("JSONValue", "withField")
async def with_field(
    session: Session, held: JsonValue, path: Sequence[str], value: JsonValue
) -> JsonValue:
    """The object with a field at a path, with the objects above it."""
    if len(path) > MOST_NESTED:
        raise EngineError(f"a field cannot lie deeper than {MOST_NESTED}")
    return JsonValue.of(_with(held.value(), list(path), value.value()))


def _with(into: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    # null is what an empty value starts as.
    if into is not None and not isinstance(into, dict):
        raise EngineError(f"cannot set the field {path[0]} of a JSON {_name(into)}")
    held = into or {}
    return {**held, path[0]: _with(held.get(path[0]), path[1:], value)}
