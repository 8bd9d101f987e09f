"""The schema has every type, field and argument of the installed SDK's client."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import dagger
import graphql
import pytest
from dagger.client import base, gen
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
)

from engine import api, definitions, schema
from engine.calls import REFUSED, RESOLVERS, is_passed

SOURCE = schema.client_source().read_text()
SCHEMA = graphql.build_schema(definitions.sdl(SOURCE))


def classes(parent: type) -> list[type]:
    """The classes of the SDK's client that are made of a parent."""
    found = [item for _, item in inspect.getmembers(gen, inspect.isclass)]
    return [c for c in found if issubclass(c, parent) and c is not parent]


def test_schema_is_valid() -> None:
    assert graphql.validate_schema(SCHEMA) == []


def test_every_object_type_is_there() -> None:
    names = {c.__name__ for c in classes(base.Type)} - {"Client", "Root"}
    names = {name for name in names if not name.startswith("_")}  # those are interfaces
    assert len(names) > 30
    types = SCHEMA.type_map
    assert {n for n in names if not isinstance(types.get(n), GraphQLObjectType)} == set()


@pytest.mark.parametrize(
    ("parent", "kind"),
    [
        pytest.param(base.Enum, GraphQLEnumType, id="enums"),
        pytest.param(base.Input, GraphQLInputObjectType, id="inputs"),
        pytest.param(base.Scalar, GraphQLScalarType, id="scalars"),
    ],
)
def test_every_other_type_is_there(parent: type, kind: type) -> None:
    names = {c.__name__ for c in classes(parent)}
    assert names
    assert {name for name in names if not isinstance(SCHEMA.type_map.get(name), kind)} == set()


def selected() -> list[tuple[str, str, tuple[str, ...]]]:
    """Type, field and arguments that the SDK's client selects, read from its text line by line."""
    found = []
    owner = ""
    arguments: list[str] = []
    for line in SOURCE.splitlines():
        if match := re.match(r"class (\w+)\(", line):
            owner = match[1]
            if owner.startswith("_"):  # an interface
                owner = owner[1:].removesuffix("Client")
        elif re.match(r" +_args = ", line):
            arguments = []
        elif match := re.match(r' +Arg\("(\w+)"', line.split("_args: list")[0]):
            arguments.append(match[1])
        elif match := re.search(r'_select\("(\w+)", _args\)', line):
            found.append((owner, match[1], tuple(arguments)))
            arguments = []
    return found


def test_every_field_and_argument_is_there() -> None:
    fields = selected()
    assert len(fields) > 300
    types = SCHEMA.type_map
    missing = []
    for owner, name, arguments in fields:
        kind = types[owner]
        assert isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType))
        known = kind.fields.get(name)
        if known is None or not set(arguments) <= set(known.args):
            missing.append((owner, name, arguments))
    assert missing == []


def test_arguments_are_counted_alike() -> None:
    tree = ast.parse(SOURCE)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Arg"]
    types = SCHEMA.type_map.values()
    kinds = (GraphQLObjectType, GraphQLInterfaceType)
    with_fields = [t for t in types if isinstance(t, kinds) and not t.name.startswith("__")]
    assert sum(len(f.args) for t in with_fields for f in t.fields.values()) == len(named)


def test_defaults_are_the_client_s_own() -> None:
    said = graphql.print_type(SCHEMA.type_map["Container"])
    called = said.partition("withExec(")[2].partition("): Container!")[0]
    arguments = {text.strip() for text in re.split("[,\n]", called)}
    assert {
        "args: [String!]!",
        'stdin: String = ""',
        "useEntrypoint: Boolean = false",
        "expect: ReturnType = SUCCESS",
    } <= arguments


def test_version_is_the_installed_sdk_s() -> None:
    assert Path(dagger.__file__).parent in schema.client_source().parents
    assert schema.sdk_version().startswith("0.21.")


def test_every_resolver_is_a_field_of_the_schema() -> None:
    api.load()
    types = SCHEMA.type_map
    for owner, name in [*RESOLVERS, *REFUSED]:
        kind = types[owner]
        assert isinstance(kind, GraphQLObjectType), owner
        assert name in kind.fields, f"{owner}.{name}"


def test_resolvers_take_the_arguments_of_their_fields() -> None:
    api.load()
    types = SCHEMA.type_map
    lacking = []
    for (owner, name), resolver in RESOLVERS.items():
        kind = types[owner]
        assert isinstance(kind, GraphQLObjectType)
        parameters = inspect.signature(resolver).parameters
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            continue
        for argument in kind.fields[name].args:
            snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", argument).lower()
            if is_passed(owner, name, argument) and snake not in parameters:
                lacking.append(f"{owner}.{name}({argument})")
    assert lacking == []
