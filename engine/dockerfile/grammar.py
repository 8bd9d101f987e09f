"""What each keyword means: from a statement to an instruction of the syntax tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from engine.dockerfile import commands, transfers
from engine.dockerfile.characters import SPACES, quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.flags import Flags
from engine.dockerfile.instructions import (
    AnyInstruction,
    Arg,
    Env,
    Expose,
    Label,
    Maintainer,
    Onbuild,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from engine.dockerfile.statements import Statement
from engine.dockerfile.suggest import suggestion
from engine.dockerfile.words import json_words, split_blanks, split_pairs, split_words

Reader: TypeAlias = Callable[[Statement], "AnyInstruction | Stage"]

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)


def read_instruction(statement: Statement) -> AnyInstruction | Stage:
    """The instruction that `statement` writes down; FROM gives a stage without instructions."""
    reader = _READERS.get(statement.keyword.upper())
    if reader is None:
        raise DockerfileError(
            f"unknown instruction: {statement.keyword}{_nearest(statement.keyword)}"
        )
    return reader(statement)


def _nearest(keyword: str) -> str:
    if keyword == keyword.upper():
        return suggestion(keyword, _READERS)
    return suggestion(keyword.lower(), [name.lower() for name in _READERS])


def _from(statement: Statement) -> Stage:
    words = split_blanks(statement.arguments)
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise DockerfileError(
                f"invalid name for build stage: {quoted(words[2])}, "
                "name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    flags = Flags(statement.flags, text=("platform",))
    return Stage(
        line=statement.line,
        original=statement.original,
        name=name,
        base=words[0],
        platform=flags.text("platform"),
    )


def _env(statement: Statement) -> Env:
    Flags(statement.flags)
    pairs = split_pairs(statement.arguments, "ENV", statement.escape)
    return Env(line=statement.line, original=statement.original, variables=pairs)


def _label(statement: Statement) -> Label:
    Flags(statement.flags)
    pairs = split_pairs(statement.arguments, "LABEL", statement.escape)
    return Label(line=statement.line, original=statement.original, labels=pairs)


def _arg(statement: Statement) -> Arg:
    words = split_words(statement.arguments, statement.escape)
    _require_some(words, "ARG")
    return Arg(
        line=statement.line,
        original=statement.original,
        arguments=tuple(_argument(word) for word in words),
    )


def _argument(word: str) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    if equals and not name:
        raise DockerfileError("ARG names can not be blank")
    return name, value if equals else None


def _expose(statement: Statement) -> Expose:
    ports = sorted(split_blanks(statement.arguments))
    _require_some(ports, "EXPOSE")
    Flags(statement.flags)
    return Expose(line=statement.line, original=statement.original, ports=tuple(ports))


def _volume(statement: Statement) -> Volume:
    listed = json_words(statement.arguments)
    words = split_blanks(statement.arguments) if listed is None else list(listed)
    _require_some(words, "VOLUME")
    Flags(statement.flags)
    paths = tuple(word.strip(SPACES) for word in words)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(line=statement.line, original=statement.original, paths=paths)


def _workdir(statement: Statement) -> Workdir:
    path = _only_argument(statement)
    return Workdir(line=statement.line, original=statement.original, path=path)


def _user(statement: Statement) -> User:
    user = _only_argument(statement)
    return User(line=statement.line, original=statement.original, user=user)


def _maintainer(statement: Statement) -> Maintainer:
    name = _only_argument(statement)
    return Maintainer(line=statement.line, original=statement.original, name=name)


def _stopsignal(statement: Statement) -> Stopsignal:
    signal = _only_argument(replace(statement, flags=()))  # flags are not looked at here
    return Stopsignal(line=statement.line, original=statement.original, signal=signal)


def _onbuild(statement: Statement) -> Onbuild:
    if not statement.arguments:
        raise DockerfileError("ONBUILD requires at least one argument")
    Flags(statement.flags)
    trigger = split_blanks(statement.arguments)[0].upper()
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    parts = [_ONBUILD.sub("", statement.original, count=1)]
    parts += [opening.raw + opening.name for opening in statement.heredocs]
    expression = "\n".join(parts)
    return Onbuild(line=statement.line, original=statement.original, expression=expression)


def _require_some(words: list[str], keyword: str) -> None:
    if not words:
        raise DockerfileError(f"{keyword} requires at least one argument")


def _only_argument(statement: Statement) -> str:
    if not statement.arguments:
        raise DockerfileError(f"{statement.keyword.upper()} requires exactly one argument")
    Flags(statement.flags)
    return statement.arguments


_READERS: dict[str, Reader] = {
    "ADD": transfers.read_add,
    "ARG": _arg,
    "CMD": commands.read_cmd,
    "COPY": transfers.read_copy,
    "ENTRYPOINT": commands.read_entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": commands.read_healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": commands.read_run,
    "SHELL": commands.read_shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
