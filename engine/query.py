"""From a GraphQL query to calls: object fields append a call, leaf fields evaluate the chain."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from typing import Any

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_list_type,
)
from graphql.execution.values import get_argument_values
from graphql.language import parser as graphql_parser

from engine.calls import Call, Calls
from engine.errors import EngineError

# The SDK nests one level for each call of a chain; graphql-core stops at 200, and Python after
# some hundred calls, of which the parser makes up to ten for each level.
_DEEPEST = 10_000
graphql_parser.MAX_NESTING_DEPTH = _DEEPEST
RECURSION_LIMIT = 12 * _DEEPEST
"""What a process that answers queries sets: it is the whole process's, so no import does."""


@dataclass(frozen=True, slots=True)
class Failure(Exception):
    """An error of a query with the path of the field that it happened at."""

    error: BaseException
    path: list[str]


async def answer(calls: Calls, schema: GraphQLSchema, text: str) -> dict[str, Any]:
    """The GraphQL response to a query, errors included."""
    try:
        document = graphql.parse(text, no_location=True)
        operation = _operation(document)
        query = schema.query_type
        assert query is not None
        data = await _select(calls, schema, query, None, operation.selection_set, [])
    except Failure as failure:
        return {"data": None, "errors": [_formatted(failure.error, failure.path)]}
    except (graphql.GraphQLError, EngineError, RecursionError) as error:
        return {"data": None, "errors": [_formatted(error, [])]}
    return {"data": data}


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            return definition
    raise EngineError("the query holds no operation")


def _formatted(error: BaseException, path: list[str]) -> dict[str, Any]:
    extensions = error.extensions() if isinstance(error, EngineError) else {}
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = "no space left on device: free some room or name another store in BREWLINE_STORE"
    return {"message": message, "locations": [], "path": path, "extensions": extensions}


async def _select(
    calls: Calls,
    schema: GraphQLSchema,
    kind: GraphQLObjectType,
    receiver: Call | None,
    selections: SelectionSetNode,
    path: list[str],
) -> dict[str, Any]:
    """The answers to `selections` of an object of type `kind`.

    A chain of single fields, the shape the SDK sends, is followed in a loop and not by recursion:
    it may be a thousand calls long.
    """
    outer: dict[str, Any] = {}
    inner = outer
    while True:
        fields = _fields(schema, kind, selections)
        if len(fields) != 1:
            answers = await asyncio.gather(
                *(_field(calls, schema, k, receiver, f, path) for k, f in fields)
            )
            for (_, field), value in zip(fields, answers, strict=True):
                inner[_key(field)] = value
            return outer
        kind, field = fields[0]
        if field.name.value in ("id", "__typename"):
            inner[_key(field)] = await _field(calls, schema, kind, receiver, field, path)
            return outer
        call = _call(calls, schema, kind, receiver, field, path)
        named = get_named_type(call.kind)
        if not isinstance(named, (GraphQLObjectType, GraphQLInterfaceType)) or is_list_type(
            getattr(call.kind, "of_type", call.kind)
        ):
            inner[_key(field)] = await _field(calls, schema, kind, receiver, field, path)
            return outer
        path = [*path, _key(field)]
        if field.selection_set is None:
            raise Failure(EngineError(f"field {field.name.value!r} needs a selection"), path)
        child: dict[str, Any] = {}
        inner[_key(field)] = child
        inner, receiver, selections = child, call, field.selection_set
        kind = _concrete(calls, named, call, path)


def _concrete(
    calls: Calls, named: GraphQLObjectType | GraphQLInterfaceType, call: Call, path: list[str]
) -> GraphQLObjectType:
    if isinstance(named, GraphQLObjectType):
        return named
    try:
        return calls.type_of(call)
    except EngineError as error:
        raise Failure(error, path) from None


def _key(field: FieldNode) -> str:
    return field.alias.value if field.alias else field.name.value


def _fields(
    schema: GraphQLSchema, kind: GraphQLObjectType, selections: SelectionSetNode
) -> list[tuple[GraphQLObjectType, FieldNode]]:
    found: list[tuple[GraphQLObjectType, FieldNode]] = []
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            found.append((kind, selection))
        elif isinstance(selection, InlineFragmentNode):
            wanted = selection.type_condition.name.value if selection.type_condition else kind.name
            interfaces = {i.name for i in kind.interfaces}
            if wanted != kind.name and wanted not in interfaces:
                raise EngineError(f"expected an ID of type {wanted}, got one of type {kind.name}")
            found += _fields(schema, kind, selection.selection_set)
        else:
            raise EngineError("fragment spreads are not supported")
    return found


def _call(
    calls: Calls,
    schema: GraphQLSchema,
    kind: GraphQLObjectType,
    receiver: Call | None,
    field: FieldNode,
    path: list[str],
) -> Call:
    name = field.name.value
    definition = kind.fields.get(name)
    if definition is None:
        raise Failure(
            EngineError(f"Cannot query field {name!r} on type {kind.name!r}."), [*path, _key(field)]
        )
    try:
        arguments = get_argument_values(definition, field)
        return calls.call(receiver, kind.name, name, definition, arguments)
    except (graphql.GraphQLError, EngineError) as error:
        raise Failure(error, [*path, _key(field)]) from None


async def _field(
    calls: Calls,
    schema: GraphQLSchema,
    kind: GraphQLObjectType,
    receiver: Call | None,
    field: FieldNode,
    path: list[str],
) -> Any:
    path = [*path, _key(field)]
    name = field.name.value
    if name == "__typename":
        return kind.name
    if name == "id" and receiver is not None:
        return receiver.id
    call = _call(calls, schema, kind, receiver, field, path[:-1])
    named = get_named_type(call.kind)
    try:
        if not isinstance(named, (GraphQLObjectType, GraphQLInterfaceType)):
            value = await calls.evaluate(call)
            # `sync`, `start` and `stop` answer with the object that they were asked of.
            return receiver.id if named.name == "ID" and receiver else _leaf(named, value)
        if not is_list_type(getattr(call.kind, "of_type", call.kind)):
            assert field.selection_set is not None
            concrete = _concrete(calls, named, call, path)
            return await _select(calls, schema, concrete, call, field.selection_set, path)
        items = await calls.items(call)
    except Failure:
        raise
    except Exception as error:  # whatever a resolver raises is this query's answer
        if not isinstance(error, (EngineError, OSError)):
            calls.report(error)
        raise Failure(error, path) from None
    assert field.selection_set is not None and isinstance(named, GraphQLObjectType)
    return [
        await _select(calls, schema, named, item, field.selection_set, [*path, str(n)])
        for n, item in enumerate(items)
    ]


def _leaf(named: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_leaf(named, v) for v in value]
    if isinstance(named, GraphQLEnumType) and value is not None:
        return str(value)
    return value
