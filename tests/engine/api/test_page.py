"""docs/engine-api.md, held to the schema and the resolvers."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from engine import api, definitions, schema
from engine.api_table import TYPES, page
from engine.calls import (
    LOADS,
    REFUSED,
    REFUSED_ARGUMENTS,
    RESOLVERS,
    VOID_ARGUMENTS,
    Resolver,
    is_passed,
    snake,
)

PAGE = Path(__file__).parents[3] / "docs" / "engine-api.md"


@pytest.fixture(scope="module")
def sdk_schema() -> GraphQLSchema:
    api.load()
    return build_schema(definitions.sdl(schema.client_source().read_text()), assume_valid=True)


def fields(made: GraphQLSchema, name: str) -> dict[str, set[str]]:
    """The fields of a type, each with its arguments."""
    kind = made.type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    return {field: set(definition.args) for field, definition in kind.fields.items()}


def test_the_committed_page_is_what_the_module_prints() -> None:
    again = "run `python -m engine.api_table > docs/engine-api.md`"
    assert PAGE.read_text() == page(), again


def test_every_field_of_the_page_is_there_or_refused_with_a_reason(
    sdk_schema: GraphQLSchema,
) -> None:
    neither = [
        f"{name}.{field}"
        for name in TYPES
        for field in fields(sdk_schema, name)
        if (name, field) not in {*RESOLVERS, *REFUSED} and field != "id"
        if not (name == "Query" and LOADS.fullmatch(field))
    ]
    assert neither == []


def test_every_argument_is_used_by_its_resolver_or_named_with_a_reason(
    sdk_schema: GraphQLSchema,
) -> None:
    ignored = [
        f"{name}.{field}({argument}:)"
        for (name, field), resolver in RESOLVERS.items()
        for argument in fields(sdk_schema, name)[field]
        if is_passed(name, field, argument) and not is_used(resolver, argument)
    ]
    assert ignored == []


def is_used(resolver: Resolver, argument: str) -> bool:
    """Whether the resolver's code speaks of its parameter for an argument."""
    parameters = inspect.signature(resolver).parameters
    tree = ast.parse(inspect.getsource(resolver))
    if snake(argument) in parameters:
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        return snake(argument) in names
    # One that is a word of Python's comes as a key.
    rest = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    keys = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return rest and argument in keys


async def _resolver(session: object, held: object, used: int, ignored: int) -> int:
    return used


def test_an_argument_that_is_taken_and_ignored_is_found() -> None:
    assert [is_used(_resolver, name) for name in ("used", "ignored", "missing")] == [
        True,
        False,
        False,
    ]


def test_nothing_is_both_there_and_refused(sdk_schema: GraphQLSchema) -> None:
    assert RESOLVERS.keys() & REFUSED.keys() == set()


def test_what_is_there_or_refused_is_in_the_schema(sdk_schema: GraphQLSchema) -> None:
    unknown = [
        f"{name}.{field}"
        for name, field in {**RESOLVERS, **REFUSED}
        if field not in fields(sdk_schema, name)
    ]
    unknown += [
        f"{name}.{field}({argument}:)"
        for name, field, argument in {**REFUSED_ARGUMENTS, **VOID_ARGUMENTS}
        if argument not in fields(sdk_schema, name)[field]
    ]
    assert unknown == []
