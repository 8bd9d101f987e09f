"""Prints docs/engine-api.md: which fields of the API the engine has."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from engine import api, definitions, schema
from engine.api.refused import IGNORED_ARGUMENTS
from engine.calls import LOADS, REFUSED, REFUSED_ARGUMENTS, RESOLVERS

TYPES = (
    *("Query", "Container", "Directory", "File", "Host", "CacheVolume", "Secret", "Socket"),
    *("Service", "Port", "Label", "EnvVariable", "EnvFile", "JSONValue", "Changeset", "DiffStat"),
    *("Stat", "SearchResult", "SearchSubmatch", "HealthcheckConfig", "Address"),
)
"""The types that an ordinary program meets, in the order of the page."""

_HEAD = """\
# The API of the embedded engine

Made from the schema of the installed SDK and the engine's resolvers by
`python -m engine.api_table > docs/engine-api.md`; a test compares the two.

A *partial* field refuses the arguments that are named, or takes them without an effect. What is
*refused* fails with an error that names it and the engines that have it: the real Dagger engine,
by `--engine dagger` or a runner host. Types that are not on this page (modules, language models,
git) can only be reached through a refused field.

Every object has an `id`, and `node` or `load…FromID` finds the object of an `id` again.
"""


def page() -> str:
    """The page as Markdown."""
    api.load()
    made = build_schema(definitions.sdl(schema.client_source().read_text()), assume_valid=True)
    return _HEAD + "".join(_section(made, name) for name in TYPES)


def _section(made: GraphQLSchema, name: str) -> str:
    kind = made.type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    rows = [_row(name, field) for field in kind.fields if field != "id" and not _loads(name, field)]
    if not rows:
        return f"\n## {name}\n\nIt has no fields of its own.\n"
    return f"\n## {name}\n\n| Field | | |\n| --- | --- | --- |\n" + "".join(rows)


def _loads(type_name: str, field: str) -> bool:
    return type_name == "Query" and LOADS.fullmatch(field) is not None


def _row(type_name: str, field: str) -> str:
    resolver = RESOLVERS.get((type_name, field))
    if resolver is None:
        return f"| `{field}` | refused | {_sentence(REFUSED.get((type_name, field), ''))} |\n"
    limits = list(_limits(type_name, field))
    what = " ".join([_first_sentence(resolver.__doc__ or ""), *limits])
    return f"| `{field}` | {'partial' if limits else 'implemented'} | {what} |\n"


def _limits(type_name: str, field: str) -> Iterator[str]:
    for (owner, name, argument), why in sorted(REFUSED_ARGUMENTS.items()):
        if (owner, name) == (type_name, field):
            yield f"Not with `{argument}`: {why}."
    if ignored := IGNORED_ARGUMENTS.get((type_name, field)):
        yield f"Without an effect: {', '.join(f'`{name}`' for name in ignored)}."


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}." if why else ""


if __name__ == "__main__":
    print(page(), end="")
