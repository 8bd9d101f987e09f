"""Prints docs/engine-api.md: which fields of the API the engine has."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from engine import api, definitions, schema
from engine.api.refused import REFUSED_VALUES
from engine.calls import LOADS, REFUSED, REFUSED_ARGUMENTS, RESOLVERS, VOID_ARGUMENTS

TYPES = (
    *("Query", "Container", "Directory", "File", "Host", "CacheVolume", "Secret", "Socket"),
    *("Service", "Port", "Label", "EnvVariable", "EnvFile", "JSONValue", "Changeset", "DiffStat"),
    *("Stat", "SearchResult", "SearchSubmatch", "HealthcheckConfig", "Address"),
    *("GitRepository", "GitRef"),
)
"""The types that an ordinary program meets, in the order of the page."""

_HEAD = """\
# The API of the embedded engine

Made from the schema of the installed SDK and the engine's resolvers by
`python -m engine.api_table > docs/engine-api.md`; a test compares the two.

A *partial* field refuses the arguments that are named. What is *refused* fails with an error that
names it and the engines that have it: the real Dagger engine, by `--engine dagger` or a runner
host. Every other argument is used, which a test reads out of the resolvers. Types that are not on
this page (modules, language models) can only be reached through a refused field.

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
    limits = _named(REFUSED_ARGUMENTS, type_name, field, "Not with")
    limits += [
        f"Not with `{argument}` {value}: {why}."
        for (owner, name, argument), (value, why) in REFUSED_VALUES.items()
        if (owner, name) == (type_name, field)
    ]
    voids = _named(VOID_ARGUMENTS, type_name, field, "As in the real engine, nothing changes with")
    what = " ".join([_first_sentence(resolver.__doc__ or ""), *limits, *voids])
    return f"| `{field}` | {'partial' if limits else 'implemented'} | {what} |\n"


def _named(
    arguments: Mapping[tuple[str, str, str], str], type_name: str, field: str, said: str
) -> list[str]:
    """A sentence for each reason that there is for arguments of a field."""
    reasons: dict[str, list[str]] = {}
    for (owner, name, argument), why in sorted(arguments.items()):
        if (owner, name) == (type_name, field):
            reasons.setdefault(why, []).append(f"`{argument}`")
    return [f"{said} {', '.join(names)}: {why}." for why, names in reasons.items()]


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}." if why else ""


if __name__ == "__main__":
    print(page(), end="")
