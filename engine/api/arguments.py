"""What resolvers share: paths with variables in them, owners, and answers about entries."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container
from engine.root import Root
from engine.snapshot import Snapshot
from engine.users import UnknownUser, find_owner

if TYPE_CHECKING:
    from engine.session import Session

T = TypeVar("T")
# As recorded, what a shell has for itself ($1, $?) is a name too, of one character.
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|\{|([*#$@!?\-0-9]|[A-Za-z_][A-Za-z0-9_]*))")
_LONGEST_NAME = 255


def expanded(container: Container, text: str, expand: bool = True) -> str:
    """`text` with $NAME and ${NAME} as the container's variables; a missing one is empty.

    Raises EngineError for a variable whose value is not to be seen, or in no key.
    """
    if not expand:
        return text
    env = dict(container.env)
    kept_out = dict.fromkeys((name for name, _ in container.volatile), "volatile")
    kept_out |= dict.fromkeys((name for name, _ in container.secrets), "secret")

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or ""
        if name in kept_out:
            raise EngineError(f'expand cannot be used with {kept_out[name]} env variable "{name}"')
        return env.get(name, "")

    return _VARIABLE.sub(value, text)


def check_name(path: str) -> None:
    """Raise EngineError for a path whose last part no file can be called."""
    if len(os.fsencode(os.path.basename(path.rstrip("/")))) > _LONGEST_NAME:
        raise EngineError(
            f"File name length exceeds the maximum supported {_LONGEST_NAME} characters"
        )


def check_host_name(name: str) -> None:
    """Raise EngineError for a name that /etc/hosts cannot hold: it would say something else."""
    if any(c.isspace() or not c.isprintable() or c == "#" for c in name):
        raise EngineError(f"{name!r} cannot be a host name: it has a blank or a # in it")


def absolute(container: Container, path: str, expand: bool) -> str:
    """`path` from the container's working directory, with its variables if they are asked for."""
    return container.absolute(expanded(container, path, expand))


async def look(session: Session, snapshot: Lazy[Snapshot], answer: Callable[[Root], T]) -> T:
    """What `answer` finds in a snapshot; file errors get the recorded engine's words."""
    held = await snapshot.get()

    def work() -> T:
        with session.snapshots.view(held) as root:
            return answer(root)

    return await asyncio.to_thread(work)


async def owner_ids(session: Session, container: Container, owner: str) -> tuple[int, int] | None:
    """User and group id of `owner` in the container; None for none. Raises EngineError."""
    return await _ids(session, container.rootfs, owner, f"failed to resolve ownership for {owner}")


async def ids_in(session: Session, snapshot: Lazy[Snapshot], owner: str) -> tuple[int, int] | None:
    """The same with the names that a tree of files has in its own /etc."""
    return await _ids(session, snapshot, owner, f"failed to parse ownership {owner}")


async def _ids(
    session: Session, snapshot: Lazy[Snapshot], owner: str, failed: str
) -> tuple[int, int] | None:
    known = plain_ids(owner)
    if known is not None or not owner:
        return known  # nothing has to be looked up in files that may have to be made

    def find(root: Root) -> tuple[int, int]:
        if not root.exists("/etc/passwd"):
            raise EngineError(f"{failed}: open /etc/passwd: no such file or directory")
        try:
            return find_owner(root, owner)
        except UnknownUser as error:
            raise EngineError(f"{failed}: {error}") from None

    return await look(session, snapshot, find)


def plain_ids(owner: str) -> tuple[int, int] | None:
    """User and group id of an owner given by numbers, or as root; None for another."""
    name, _, group = owner.partition(":")
    ids = [0 if part == "root" else int(part) for part in (name, group or name) if _known(part)]
    return (ids[0], ids[1]) if len(ids) == 2 else None


def _known(name: str) -> bool:
    return name == "root" or name.isdecimal()


def written_ids(ids: tuple[int, int] | None) -> str:
    """User and group id as `user:group`; empty for none."""
    return "" if ids is None else f"{ids[0]}:{ids[1]}"
