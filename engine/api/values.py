"""Small values of the API that are only looked at: Stat, search results, variables, labels."""

from __future__ import annotations

import os
import stat as stat_bits
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.calls import field
from engine.model import Port
from engine.root import Root, missing

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True)
class Stat:
    """What stat says about a path."""

    name: str
    kind: str
    permissions: int
    size: int


@dataclass(frozen=True, slots=True)
class Named:
    """A name with a value: an environment variable or a label."""

    name: str
    value: str


def stat_of(name: str, status: os.stat_result) -> Stat:
    """The Stat for a path's status."""
    mode = status.st_mode
    kinds = {
        stat_bits.S_IFREG: "REGULAR",
        stat_bits.S_IFDIR: "DIRECTORY",
        stat_bits.S_IFLNK: "SYMLINK",
    }
    kind = kinds.get(stat_bits.S_IFMT(mode), "UNKNOWN")
    return Stat(name, kind, mode & 0o777, status.st_size)


_KINDS = {
    "REGULAR_TYPE": stat_bits.S_ISREG,
    "DIRECTORY_TYPE": stat_bits.S_ISDIR,
    "SYMLINK_TYPE": stat_bits.S_ISLNK,
}


def entry_exists(root: Root, path: str, expected: str | None, follow: bool) -> bool:
    """Whether `path` is there and of the expected kind."""
    try:
        status = root.stat(path, follow=follow and expected != "SYMLINK_TYPE")
    except OSError:
        return False
    return expected is None or _KINDS[expected](status.st_mode)


def entry_stat(root: Root, path: str, follow: bool, shown: str) -> Stat:
    """What is known of `path`; a link that is followed gives its target's name.

    Raises EngineError if it is missing.
    """
    try:
        status = root.stat(path, follow=follow)
        name = os.path.basename(root.real(path) if follow else path)
    except OSError:
        raise missing(shown) from None
    return stat_of(name, status)


@field("Stat", "name")
async def stat_name(session: Session, value: Stat) -> str:
    """The last part of the path."""
    return value.name


@field("Stat", "fileType")
async def stat_kind(session: Session, value: Stat) -> str:
    """REGULAR, DIRECTORY, SYMLINK or UNKNOWN."""
    return value.kind


@field("Stat", "permissions")
async def stat_permissions(session: Session, value: Stat) -> int:
    """The mode's permission bits."""
    return value.permissions


@field("Stat", "size")
async def stat_size(session: Session, value: Stat) -> int:
    """Bytes."""
    return value.size


@field("EnvVariable", "name")
@field("Label", "name")
async def named_name(session: Session, value: Named) -> str:
    """The name."""
    return value.name


@field("EnvVariable", "value")
@field("Label", "value")
async def named_value(session: Session, value: Named) -> str:
    """The value."""
    return value.value


@field("Port", "port")
async def port_number(session: Session, value: Port) -> int:
    """The port's number."""
    return value.port


@field("Port", "protocol")
async def port_protocol(session: Session, value: Port) -> str:
    """TCP or UDP."""
    return value.protocol


@field("Port", "description")
async def port_description(session: Session, value: Port) -> str | None:
    """What was said about the port."""
    return value.description


@field("Port", "experimentalSkipHealthcheck")
async def port_skip(session: Session, value: Port) -> bool:
    """Whether a service is up before this port answers."""
    return value.skip_healthcheck
