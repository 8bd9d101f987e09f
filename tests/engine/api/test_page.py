"""docs/engine-api.md, held to the schema and the resolvers."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from engine import api, definitions, schema
from engine.api_table import TYPES, page
from engine.calls import LOADS, REFUSED, REFUSED_ARGUMENTS, RESOLVERS

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
        for name, field, argument in REFUSED_ARGUMENTS
        if argument not in fields(sdk_schema, name)[field]
    ]
    assert unknown == []
