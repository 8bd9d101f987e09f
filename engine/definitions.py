"""Schema definitions from the text of the SDK's generated client, and tables from definitions.

The SDK carries no schema file, but its client holds every type, field, argument and default: a
walk of its syntax tree rebuilds the schema definition language.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.schema import client_source

if TYPE_CHECKING:
    from graphql import InputValueDefinitionNode

_SCALARS = {"str": "String", "int": "Int", "bool": "Boolean", "float": "Float"}
# Classes of the client that are not types of the schema.
_NOT_TYPES = {"Client"}
# What an interface's client class is called in the SDK, and the fields of each interface.
_INTERFACES = """
interface Node { id: ID! }
interface Syncer implements Node { id: ID! sync: ID! }
interface Exportable implements Node { id: ID! export(path: String!): String! }
"""


def sdl(source: str) -> str:
    """The schema definition language that `source`, the text of a generated client, stands for."""
    parts = [_INTERFACES]
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            parts.append(_definition(node))
    return "\n".join(part for part in parts if part)


def _definition(node: ast.ClassDef) -> str:
    kind = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else ""
    if node.name in _NOT_TYPES or node.name.startswith("_") or kind == "Protocol":
        return ""
    match kind:
        case "Scalar":
            return f"scalar {node.name}"
        case "Enum":
            return f"enum {node.name} {{ {' '.join(_enum_members(node))} }}"
        case "Input":
            return f"input {node.name} {{ {' '.join(_input_fields(node))} }}"
        case "Type" | "Root":
            return _object(node)
    return ""


def _enum_members(node: ast.ClassDef) -> list[str]:
    return [
        target.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]


def _input_fields(node: ast.ClassDef) -> list[str]:
    fields = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = "" if statement.value is None else f" = {_literal(statement.value)}"
            kind = _type(statement.annotation, node.name, argument=True)
            if default:
                kind = kind.removesuffix("!")
            fields.append(f"{_camel(statement.target.id)}: {kind}{default}")
    return fields


def _object(node: ast.ClassDef) -> str:
    fields = [
        _field(statement, node.name)
        for statement in node.body
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not statement.name.startswith("__")
        and statement.name != "with_"
        and "_args" in ast.unparse(statement)
    ]
    names = {field.name for field in fields}
    interfaces = ""
    if node.name != "Query":
        found = ["Node"] + (["Syncer"] if "sync" in names else [])
        interfaces = " implements " + " & ".join(found)
    return f"type {node.name}{interfaces} {{ {' '.join(f.text for f in fields)} }}"


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    text: str


def _field(function: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> _Field:
    body = ast.unparse(function)
    name = _selected_name(function)
    if "execute_sync(" in body or name == "id":
        kind = "ID!"
    else:
        assert function.returns is not None
        kind = _type(function.returns, owner, argument=False)
    arguments = ", ".join(_arguments(function, owner))
    return _Field(name, f"{name}{f'({arguments})' if arguments else ''}: {kind}")


def _calls(function: ast.AST, name: str) -> list[ast.Call]:
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called == name:
                found.append(node)
    return found


def _selected_name(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    for call in _calls(function, "execute_sync"):
        if len(call.args) > 1:
            return str(ast.literal_eval(call.args[1]))
    for name in ("_select", "_root_select", "select", "root_select"):
        for call in _calls(function, name):
            texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
            if texts:
                return str(texts[-1])
    return _camel(function.name)


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> list[str]:
    every = function.args.args[1:] + function.args.kwonlyargs
    annotations = {a.arg: a.annotation for a in every}
    out = []
    for call in _calls(function, "Arg"):
        name = str(ast.literal_eval(call.args[0]))
        parameter = next(n.id for n in ast.walk(call.args[1]) if isinstance(n, ast.Name))
        annotation = annotations[parameter]
        assert annotation is not None
        kind = _type(annotation, owner, argument=True)
        default = _literal(call.args[2]) if len(call.args) > 2 else None
        if default is not None:
            kind = kind.removesuffix("!")
        out.append(f"{name}: {kind}" + (f" = {default}" if default not in (None, "null") else ""))
    return out


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):  # an enum's member
        return node.attr
    return json.dumps(ast.literal_eval(node), ensure_ascii=False)


def _type(node: ast.expr, owner: str, *, argument: bool) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.BinOp):  # "X | None"
        return _type(node.left, owner, argument=argument).removesuffix("!")
    if isinstance(node, ast.Subscript):  # "list[X]"
        return f"[{_type(node.slice, owner, argument=argument)}]!"
    assert isinstance(node, ast.Name), ast.unparse(node)
    name = owner if node.id == "Self" else node.id
    if name in _SCALARS:
        return f"{_SCALARS[name]}!"
    return "ID!" if argument and not _is_value(name) else f"{name}!"


# Named types that an argument takes as they are; objects are passed by their ID.
_VALUES = {"BuildArg", "PipelineLabel", "PortForward", "Platform", "JSON", "Void"}


@cache
def _enums() -> frozenset[str]:
    tree = ast.parse(client_source().read_text())
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(b, ast.Name) and b.id == "Enum" for b in node.bases)
    )


def _is_value(name: str) -> bool:
    return name in _VALUES or name in _enums()


def _camel(name: str) -> str:
    head, *rest = name.strip("_").split("_")
    return head + "".join(part.title() for part in rest)


def table(definitions: str) -> dict[str, Any]:
    """Schema definitions as the tables that TypeSystem takes."""
    import graphql

    made: dict[str, Any] = {"interfaces": [], "enums": {}, "inputs": {}, "objects": {}}
    for node in graphql.parse(definitions, no_location=True).definitions:
        match node:
            case graphql.InterfaceTypeDefinitionNode():
                made["interfaces"].append(node.name.value)
            case graphql.EnumTypeDefinitionNode():
                made["enums"][node.name.value] = [v.name.value for v in node.values or ()]
            case graphql.InputObjectTypeDefinitionNode():
                made["inputs"][node.name.value] = _argument_table(node.fields)
            case graphql.ObjectTypeDefinitionNode():
                made["objects"][node.name.value] = {
                    "interfaces": [interface.name.value for interface in node.interfaces or ()],
                    "fields": {
                        f.name.value: [graphql.print_ast(f.type), _argument_table(f.arguments)]
                        for f in node.fields or ()
                    },
                }
    return made


def _argument_table(nodes: Iterable[InputValueDefinitionNode] | None) -> dict[str, list[Any]]:
    import graphql

    made = {}
    for node in nodes or ():
        made[node.name.value] = [graphql.print_ast(node.type)]
        if node.default_value is not None:
            made[node.name.value].append(graphql.value_from_ast_untyped(node.default_value))
    return made
