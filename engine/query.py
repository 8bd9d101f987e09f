"""From a GraphQL query to calls: object fields append a call, leaf fields evaluate the chain."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from engine.calls import Call, Calls
from engine.document import Fragment, Selection, Selections, parse
from engine.errors import NO_ROOM, EngineError, told
from engine.lazy import together
from engine.typesystem import ObjectType, is_list, named


@dataclass(frozen=True, slots=True)
class Failure(Exception):
    """An error of a query with the path of the field that it happened at."""

    error: BaseException
    path: list[str]


async def answer(calls: Calls, text: str) -> dict[str, Any]:
    """The GraphQL response to a query, errors included."""
    try:
        data = await _select(calls, calls.types.object("Query"), None, parse(text), [])
    except Failure as failure:
        return {"data": None, "errors": [await _formatted(calls, failure.error, failure.path)]}
    except (EngineError, RecursionError) as error:
        return {"data": None, "errors": [await _formatted(calls, error, [])]}
    return {"data": data}


async def _formatted(calls: Calls, error: BaseException, path: list[str]) -> dict[str, Any]:
    extensions = error.extensions() if isinstance(error, EngineError) else {}
    message = told(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        from engine.usage import lack_of_room

        why = await asyncio.to_thread(lack_of_room, calls.settings)
        message = f"no space left on device: {why}"
    return {"message": message, "locations": [], "path": path, "extensions": extensions}


async def _select(
    calls: Calls,
    kind: ObjectType,
    receiver: Call | None,
    selections: list[Selections],
    path: list[str],
) -> dict[str, Any]:
    """The answers to `selections` of an object of type `kind`.

    A chain of single fields, the shape the SDK sends, is followed in a loop and not by recursion:
    it may be a thousand calls long.
    """
    outer: dict[str, Any] = {}
    inner = outer
    while True:
        fields = _fields(kind, selections)
        if len(fields) != 1:
            answers = await together(*(_field(calls, kind, receiver, f, path) for f in fields))
            for field, value in zip(fields, answers, strict=True):
                inner[field.key] = value
            return outer
        field = fields[0]
        if field.name in ("id", "__typename"):
            inner[field.key] = await _field(calls, kind, receiver, field, path)
            return outer
        call = _call(calls, kind, receiver, field, path)
        if is_list(call.kind) or not calls.types.has_fields(call.kind):
            inner[field.key] = await _field(calls, kind, receiver, field, path)
            return outer
        path = [*path, field.key]
        if field.selections is None:
            raise Failure(EngineError(f"field {field.name!r} needs a selection"), path)
        child: dict[str, Any] = {}
        inner[field.key] = child
        inner, receiver, selections = child, call, field.selections
        kind = _object_type(calls, call, path)


def _object_type(calls: Calls, call: Call, path: list[str]) -> ObjectType:
    try:
        return calls.type_of(call)
    except EngineError as error:
        raise Failure(error, path) from None


def _fields(kind: ObjectType, selections: list[Selections]) -> list[Selection]:
    found: list[Selection] = []
    for selection in selections:
        if isinstance(selection, Fragment):
            wanted = selection.type
            if wanted != kind.name and wanted not in kind.interfaces:
                raise EngineError(f"expected an ID of type {wanted}, got one of type {kind.name}")
            found += _fields(kind, selection.selections)
        else:
            found.append(selection)
    return found


def _call(
    calls: Calls, kind: ObjectType, receiver: Call | None, field: Selection, path: list[str]
) -> Call:
    definition = kind.fields.get(field.name)
    if definition is None:
        said = f"Cannot query field {field.name!r} on type {kind.name!r}."
        raise Failure(EngineError(said), [*path, field.key])
    try:
        arguments = calls.types.arguments(
            definition.arguments, field.arguments, f"{kind.name}.{field.name}"
        )
        return calls.call(receiver, kind.name, field.name, definition, arguments)
    except EngineError as error:
        raise Failure(error, [*path, field.key]) from None


async def _field(
    calls: Calls, kind: ObjectType, receiver: Call | None, field: Selection, path: list[str]
) -> Any:
    path = [*path, field.key]
    if field.name == "__typename":
        return kind.name
    if field.name == "id" and receiver is not None:
        return receiver.id
    call = _call(calls, kind, receiver, field, path[:-1])
    try:
        if not calls.types.has_fields(call.kind):
            if field.selections is not None:
                raise EngineError(f"field {field.name!r} has no fields to select")
            value = await calls.evaluate(call)
            # `sync`, `start` and `stop` answer with the object that they were asked of.
            return receiver.id if named(call.kind) == "ID" and receiver else value
        if field.selections is None:
            raise EngineError(f"field {field.name!r} needs a selection")
        if not is_list(call.kind):
            concrete = _object_type(calls, call, path)
            return await _select(calls, concrete, call, field.selections, path)
        items = await calls.items(call)
    except Failure:
        raise
    except Exception as error:  # whatever a resolver raises is this query's answer
        if not isinstance(error, (EngineError, OSError)):
            calls.report(error)
        raise Failure(error, path) from None
    return [
        await _select(calls, calls.type_of(item), item, field.selections, [*path, str(n)])
        for n, item in enumerate(items)
    ]
