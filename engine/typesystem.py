"""The types of the API as plain tables, and literals of a query made values of those types.

A type is written as in the schema: `[String!]!` is a list, never null, of strings, never null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from engine.errors import EngineError

_INT32 = 1 << 31
# Contents; all else is cut off at a NUL character where the system takes it.
_MAY_HOLD_NUL = {"contents", "plaintext", "stdin", "search", "replacement", "patch"}


class EnumValue(str):
    """A bare name in a query: TCP, not "TCP"."""


class Argument(NamedTuple):
    """The type of an argument, or of an input object's field, and what it is when left out."""

    type: str
    has_default: bool = False
    default: Any = None


class Field(NamedTuple):
    """A field of an object type."""

    type: str
    arguments: dict[str, Argument]


@dataclass(frozen=True)
class ObjectType:
    """A type with fields."""

    name: str
    interfaces: frozenset[str]
    fields: dict[str, Field]


@dataclass(frozen=True)
class TypeSystem:
    """All types: scalars are what is in none of these tables."""

    interfaces: frozenset[str]
    enums: dict[str, frozenset[str]]
    inputs: dict[str, dict[str, Argument]]
    table: dict[str, Any]
    """Object types as they lie in the file: most sessions ask for few of them."""
    _made: dict[str, ObjectType] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TypeSystem:
        """The types in the form that `definitions.table` makes."""
        return cls(
            interfaces=frozenset(value["interfaces"]),
            enums={name: frozenset(members) for name, members in value["enums"].items()},
            inputs={name: _arguments(fields) for name, fields in value["inputs"].items()},
            table=value["objects"],
        )

    def object(self, name: str) -> ObjectType:
        """An object type by its name."""
        made = self._made.get(name)
        if made is None:
            entry = self.table[name]
            fields = {n: Field(t, _arguments(a)) for n, (t, a) in entry["fields"].items()}
            made = self._made[name] = ObjectType(name, frozenset(entry["interfaces"]), fields)
        return made

    def has_fields(self, kind: str) -> bool:
        """Whether values of a type are objects, which a query selects from."""
        return named(kind) in self.table or named(kind) in self.interfaces

    def arguments(
        self, wanted: dict[str, Argument], given: dict[str, Any], field_name: str
    ) -> dict[str, Any]:
        """The values of a field's arguments, defaults filled in.

        Raises EngineError for one that is missing, unknown or of another type.
        """
        if unknown := given.keys() - wanted.keys():
            raise EngineError(f"Unknown argument {min(unknown)!r} on field {field_name!r}.")
        values = {}
        for name, argument in wanted.items():
            if name in given:
                try:
                    values[name] = self._coerced(argument.type, given[name])
                    if name not in _MAY_HOLD_NUL:
                        _check_no_nul(values[name])
                except EngineError as error:
                    raise EngineError(f"Argument {name!r} has invalid value: {error}") from None
            elif argument.has_default:
                values[name] = argument.default
            elif argument.type.endswith("!"):
                raise EngineError(
                    f"Argument {name!r} of required type {argument.type!r} was not provided."
                )
        return values

    def _coerced(self, kind: str, value: Any) -> Any:
        if value is None:
            if kind.endswith("!"):
                raise EngineError(f"Expected value of non-null type {kind!r} not to be None.")
            return None
        kind = kind.removesuffix("!")
        if kind.startswith("["):
            items = value if isinstance(value, list) else [value]
            return [self._coerced(kind[1:-1], item) for item in items]
        if kind in self.enums:
            return self._enum(kind, value)
        if kind in self.inputs:
            return self._input(kind, value)
        return _scalar(kind, value)

    def _enum(self, kind: str, value: Any) -> str:
        if not isinstance(value, EnumValue) or value not in self.enums[kind]:
            raise EngineError(f"Value {value!r} does not exist in {kind!r} enum.")
        return str(value)

    def _input(self, kind: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise EngineError(f"Expected value of type {kind!r} to be an object.")
        return self.arguments(self.inputs[kind], value, kind)


def _check_no_nul(value: Any) -> None:
    for text in value if type(value) is list else (value,):
        if type(text) is str and "\0" in text:
            raise EngineError("a NUL character cannot be in it")


def _scalar(kind: str, value: Any) -> Any:
    plain = type(value)
    match kind:
        case "String":
            if plain is not str:
                # Not which: it may be a secret.
                raise EngineError("String cannot represent a non string value")
        case "ID":
            if plain not in (str, int):
                raise EngineError(f"ID cannot represent value: {value!r}")
            return str(value)
        case "Boolean":
            if plain is not bool:
                raise EngineError(f"Boolean cannot represent a non boolean value: {value!r}")
        case "Int":
            if plain is not int:
                raise EngineError(f"Int cannot represent non-integer value: {value!r}")
            if not -_INT32 <= value < _INT32:
                raise EngineError(f"Int cannot represent non 32-bit signed integer value: {value}")
        case "Float":
            if plain not in (int, float):
                raise EngineError(f"Float cannot represent non numeric value: {value!r}")
            return float(value)
    return value


def _arguments(table: dict[str, list[Any]]) -> dict[str, Argument]:
    return {name: Argument(e[0], len(e) > 1, *e[1:]) for name, e in table.items()}


@cache
def named(kind: str) -> str:
    """The name of a type without its lists and exclamation marks."""
    return kind.replace("[", "").replace("]", "").replace("!", "")


def is_list(kind: str) -> bool:
    """Whether a type is a list."""
    return kind.startswith("[")
