"""Query.http, and the fields of Address: objects by a text that says where they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.api.git import at_address
from engine.api.git import repository as repository_at
from engine.api.query import secret as secret_of
from engine.calls import field
from engine.download import Source, downloaded, named
from engine.errors import EngineError
from engine.git.fetching import Checkout, tree
from engine.git.refs import Ref, Repository
from engine.hostfiles import host_directory, host_file
from engine.model import (
    Container,
    Directory,
    File,
    HostService,
    PortForward,
    Secret,
    Service,
    Socket,
)
from engine.root import clean
from engine.selection import Selection

if TYPE_CHECKING:
    from engine.session import Session

_GIT = re.compile(r"(?!file:)\w+://|\w+@[\w.-]+:|(github|gitlab)\.com/|bitbucket\.org/")


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is; of which kind, the field that asks says."""

    value: str


@field("Query", "http")
async def http(
    session: Session,
    _: None,
    url: str,
    name: str | None = None,
    permissions: int | None = None,
    checksum: str | None = None,
    auth_header: Secret | None = None,
    experimental_service_host: Service | None = None,
) -> File:
    """A file from an HTTP server."""
    source = Source(
        url=url,
        name=name or named(url),
        mode=0o600 if permissions is None else permissions,
        checksum=checksum or "",
        auth=auth_header,
        service=experimental_service_host,
    )
    return downloaded(session, source)


@field("Query", "address")
async def address(session: Session, _: None, value: str) -> Address:
    """Where something is."""
    if not value:
        raise EngineError("resource cannot have empty address")
    return Address(value)


@field("Address", "value")
async def value(session: Session, held: Address) -> str:
    """The address."""
    return held.value


@field("Address", "container")
async def container(session: Session, held: Address) -> Container:
    """The container of an image reference."""
    return await session.images.pull(Container(platform=session.platform), held.value)


@field("Address", "directory")
async def directory(
    session: Session,
    held: Address,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    gitignore: bool = False,
) -> Directory:
    """A folder of the client's machine, or of a repository, as URL#REF:FOLDER."""
    if _GIT.match(held.value):
        ref, folder = await at_address(session, held.value)
        return replace(tree(session, ref, Checkout()), path=clean(folder))
    selection = Selection(tuple(include), tuple(exclude), gitignore)
    return host_directory(session, session.host_path(_local(held)), selection)


@field("Address", "file")
async def file(session: Session, held: Address) -> File:
    """A file of the client's machine, or of a repository, as URL#REF:FILE."""
    if _GIT.match(held.value):
        ref, path = await at_address(session, held.value)
        if not path:
            raise EngineError("no file path specified within git repository")
        return File(tree(session, ref, Checkout()).snapshot, clean(path))
    return host_file(session, session.host_path(_local(held)))


@field("Address", "gitRepository")
async def git_repository(session: Session, held: Address) -> Repository:
    """The repository at a URL, which names no ref."""
    if "#" in held.value:
        raise EngineError("git repository address cannot contain ref")
    made: Repository = await repository_at(session, None, held.value)
    return made


@field("Address", "gitRef")
async def git_ref(session: Session, held: Address) -> Ref:
    """A ref of a repository, as URL#REF; HEAD where none is named."""
    return (await at_address(session, held.value))[0]


def _local(held: Address) -> str:
    return held.value.removeprefix("file://")


@field("Address", "secret")
async def secret(session: Session, held: Address) -> Secret:
    """A secret by the URI of its source."""
    made: Secret = await secret_of(session, None, held.value)
    return made


@field("Address", "socket")
async def socket(session: Session, held: Address) -> Socket:
    """A unix socket of the client's machine."""
    return Socket(str(session.host_path(held.value.removeprefix("unix://"))))


@field("Address", "service")
async def service(session: Session, held: Address) -> Service:
    """A port of the client's machine or of one that it reaches, as tcp://HOST:PORT."""
    try:
        parts = urlsplit(held.value)
        port, host = parts.port, parts.hostname
    except ValueError:
        port = host = None
    if parts.scheme not in ("tcp", "udp") or not host or port is None:
        raise EngineError(f"{held.value}: give tcp://HOST:PORT or udp://HOST:PORT")
    forward = PortForward(backend=port, frontend=port, protocol=parts.scheme.upper())
    return HostService(host=host, ports=(forward,))
