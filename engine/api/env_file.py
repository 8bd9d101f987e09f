"""Fields of EnvFile, and those that make one or use it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.api.container_config import with_variable as set_variable
from engine.api.file import contents, new
from engine.api.values import Named
from engine.calls import field
from engine.envfile import EnvFile
from engine.model import Container, File

if TYPE_CHECKING:
    from engine.session import Session

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _outside() -> Mapping[str, str]:
    """The client's environment, which the engine inherits."""
    return os.environ


@field("Query", "envFile")
async def env_file(session: Session, _: None) -> EnvFile:
    """An empty env file."""
    return EnvFile()


@field("File", "asEnvFile")
async def as_env_file(session: Session, file: File) -> EnvFile:
    """The variables of a file."""
    return EnvFile.parse(await contents(session, file))


@field("EnvFile", "withVariable")
async def with_variable(session: Session, env: EnvFile, name: str, value: str) -> EnvFile:
    """The env file with a variable."""
    return env.with_variable(name, value)


@field("EnvFile", "withoutVariable")
async def without_variable(session: Session, env: EnvFile, name: str) -> EnvFile:
    """The env file without a variable."""
    return env.without_variable(name)


@field("EnvFile", "variables")
async def variables(session: Session, env: EnvFile, raw: bool | None = None) -> list[Named]:
    """The variables, with `raw` as they are written."""
    values = dict(sorted(env.pairs)) if raw else env.values(_outside())
    return [Named(name, value) for name, value in values.items()]


@field("EnvFile", "get")
async def get(session: Session, env: EnvFile, name: str, raw: bool | None = None) -> str:
    """A variable's value, with `raw` as it is written; empty if there is none."""
    return dict(env.pairs).get(name, "") if raw else env.value(name, _outside())


@field("EnvFile", "exists")
async def exists(session: Session, env: EnvFile, name: str) -> bool:
    """Whether the variable is there."""
    return name in dict(env.pairs)


@field("EnvFile", "namespace")
async def namespace(session: Session, env: EnvFile, prefix: str) -> EnvFile:
    """The variables whose names begin with a prefix and `_`, without it."""
    return env.namespace(prefix, _outside())


@field("EnvFile", "asFile")
async def as_file(session: Session, env: EnvFile) -> File:
    """The env file as a file."""
    made: File = await new(session, None, ".env", env.text())
    return made


@field("Container", "withEnvFileVariables")
async def with_env_file_variables(
    session: Session, container: Container, source: EnvFile
) -> Container:
    """The container with the variables of an env file; its comments are none."""
    for name, value in source.values(_outside()).items():
        if _NAME.fullmatch(name):
            container = set_variable(container, name, value)
    return container
