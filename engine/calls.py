"""Calls of the API: what an object's ID stands for, and how it becomes a value.

An ID names the call that made the object, with its receiver and its arguments; nothing is
evaluated before a leaf field asks. Values are kept for the session, failures are not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, RefusedField
from engine.lazy import Lazy
from engine.typesystem import Field, ObjectType, TypeSystem, named

if TYPE_CHECKING:
    from engine.session import Session
    from engine.settings import Settings

Resolver = Callable[..., Awaitable[Any]]

# An object is loaded by its ID by `node`, or by the field that older clients have for its type.
LOADS = re.compile(r"node|load\w+FromID")

RESOLVERS: dict[tuple[str, str], Resolver] = {}
"""The fields that this engine has, by type and field name."""

REFUSED: dict[tuple[str, str], str] = {}
"""Fields that this engine will not have, and why."""

REFUSED_ARGUMENTS: dict[tuple[str, str, str], str] = {}
"""Arguments of fields that it has but for these, and why."""

VOID_ARGUMENTS: dict[tuple[str, str, str], str] = {}
"""Arguments that change nothing, as they do not in the real engine, and why."""

ANEW = "noCache"
"""The argument that makes a call another one each time; no resolver has to know of it."""


def field(type_name: str, *names: str) -> Callable[[Resolver], Resolver]:
    """Register a resolver `(session, receiver, **arguments) -> value` for fields of a type."""

    def register(resolver: Resolver) -> Resolver:
        for name in names:
            RESOLVERS[type_name, name] = resolver
        return resolver

    return register


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call: a field of a receiver with its arguments, and the type that it returns."""

    id: str
    receiver: Call | None
    kind: str
    value: Lazy[Any]


class Calls:
    """The calls of a session."""

    def __init__(
        self, session: Session, types: TypeSystem, load: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._load = load
        self.types = types
        self._known: dict[str, Call] = {}
        self._seal = secrets.token_bytes(32)

    @property
    def settings(self) -> Settings:
        """What the session's engine was started with."""
        return self._session.settings

    def call(
        self,
        receiver: Call | None,
        type_name: str,
        name: str,
        definition: Field,
        arguments: dict[str, Any],
    ) -> Call:
        """The call of a field, the same one for an equal receiver and equal arguments.

        Raises RefusedField if this engine does not have the field, or one of the arguments.
        """
        if type_name == "Query" and LOADS.fullmatch(name):
            return self._loaded(definition, arguments["id"])
        resolver = RESOLVERS.get((type_name, name)) or self._late(type_name, name)
        if resolver is None:
            raise RefusedField(type_name, name, REFUSED.get((type_name, name), ""))
        for argument, given in arguments.items():
            why = REFUSED_ARGUMENTS.get((type_name, name, argument))
            if given and why is not None:
                raise RefusedField(type_name, f"{name}({argument}:)", why)
        call_id = self._id(receiver, name, definition.type, arguments)
        known = self._known.get(call_id)
        if known is not None:
            return known

        async def evaluate() -> Any:
            values = {
                snake(key): await self._argument(resolver, definition, key, value)
                for key, value in arguments.items()
                if is_passed(type_name, name, key)
            }
            held = None if receiver is None else await self.evaluate(receiver)
            return await resolver(self._session, held, **values)

        made = Call(call_id, receiver, definition.type, Lazy(evaluate))
        if self.types.has_fields(definition.type):
            self._known[call_id] = made
        return made

    def _late(self, type_name: str, name: str) -> Resolver | None:
        """A resolver out of the modules that were not loaded when the engine started."""
        self._load()
        return RESOLVERS.get((type_name, name))

    async def evaluate(self, call: Call) -> Any:
        """The value of a call, its receivers first: by a loop, for chains may be long."""
        waiting = []
        current: Call | None = call
        while current is not None and not current.value.ready:
            waiting.append(current)
            current = current.receiver
        for each in reversed(waiting):
            await each.value.get()
        return await call.value.get()

    async def items(self, call: Call) -> list[Call]:
        """The objects of a list, each as a call of its own."""
        kind = named(call.kind)
        made = []
        for number, value in enumerate(await self.evaluate(call)):
            item = Call(f"{call.id}.{number}", None, kind, Lazy.of(value))
            made.append(self._known.setdefault(item.id, item))
        return made

    def type_of(self, call: Call) -> ObjectType:
        """The object type that a call returns."""
        kind = named(call.kind)
        if kind in self.types.interfaces:
            raise EngineError(f"{kind} has no type of its own here")
        return self.types.object(kind)

    def report(self, error: BaseException) -> None:
        """Say on standard error that this engine has a bug; no query, it may hold a secret."""
        lines = traceback.format_exception(error)
        print("".join(lines), file=sys.stderr, flush=True)

    def _loaded(self, definition: Field, text: str) -> Call:
        """The object of an ID, which must be of the type that the field returns."""
        known = self._by_id(text)
        wanted, found = named(definition.type), named(known.kind)
        if wanted not in self.types.interfaces and wanted != found:
            raise EngineError(f"expected an ID of type {wanted}, got one of {found}")
        return known

    def _by_id(self, text: str) -> Call:
        known = self._known.get(text)
        if known is None:
            raise EngineError(f"unknown ID {text[:80]!r}: it is not one of this session")
        return known

    async def _argument(self, resolver: Resolver, definition: Field, key: str, value: Any) -> Any:
        if value is None or named(definition.arguments[key].type) != "ID":
            return value
        words = _words_of_type(resolver, snake(key))
        wanted = [word for word in words if self.types.has_fields(word)]
        if isinstance(value, list):
            return [await self.evaluate(self._one_of(wanted, v)) for v in value]
        return await self.evaluate(self._one_of(wanted, value))

    def _one_of(self, wanted: list[str], text: str) -> Call:
        """The object of an ID that a resolver gets, which takes objects of those types."""
        known = self._by_id(text)
        if wanted and named(known.kind) not in wanted:
            raise EngineError(f"expected an ID of type {wanted[0]}, got one of {named(known.kind)}")
        return known

    def _id(
        self,
        receiver: Call | None,
        name: str,
        kind: str,
        arguments: dict[str, Any],
    ) -> str:
        # Asked not to remember, a host folder is another call each time; so is a terminal.
        anew = arguments.get(ANEW) or name == "terminal"
        nonce = secrets.token_hex(8) if anew else ""
        made_by = [receiver.id if receiver else "", name, arguments, nonce]
        recipe = json.dumps(made_by, sort_keys=True)
        # Keyed, because the plaintext of a secret is an argument and an ID must not tell it.
        digest = hmac.new(self._seal, recipe.encode(), hashlib.sha256).hexdigest()
        return f"{named(kind)}@{digest[:40]}"


@cache
def _words_of_type(resolver: Resolver, argument: str) -> list[str]:
    """The words of an argument's annotation: the schema knows IDs, and not of what."""
    return re.findall(r"\w+", resolver.__annotations__.get(argument, ""))


def is_passed(type_name: str, name: str, argument: str) -> bool:
    """Whether a resolver gets an argument: one that changes nothing would only seem to be used."""
    place = type_name, name, argument
    return argument != ANEW and place not in REFUSED_ARGUMENTS and place not in VOID_ARGUMENTS


@cache
def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
