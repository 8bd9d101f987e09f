"""What resolvers share: paths with variables in them, owners, and answers about entries."""

from __future__ import annotations

import asyncio
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
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z0-9_]+))")


def expanded(container: Container, text: str, expand: bool = True) -> str:
    """`text` with $NAME and ${NAME} as the container's variables; a missing one is empty."""
    if not expand:
        return text
    env = dict(container.env)
    return _VARIABLE.sub(lambda m: env.get(m[1] if m[1] is not None else m[2], ""), text)


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
    if not owner:
        return None
    if owner.replace(":", "", 1).isdigit():
        return plain_ids(owner)  # nothing has to be looked up in files that may have to be made

    def find(root: Root) -> tuple[int, int]:
        try:
            return find_owner(root, owner)
        except UnknownUser as error:
            raise EngineError(f"failed to resolve ownership for {owner}: {error}") from None

    return await look(session, container.rootfs, find)


def plain_ids(owner: str) -> tuple[int, int] | None:
    """User and group id of an owner given by numbers; there are no names without a container."""
    if not owner:
        return None
    name, _, group = owner.partition(":")
    if not name.isdigit() or (group and not group.isdigit()):
        raise EngineError(
            f"failed to parse ownership {owner}: open /etc/passwd: no such file or directory"
        )
    return int(name), int(group or name)


def written_ids(ids: tuple[int, int] | None) -> str:
    """User and group id as `user:group`; empty for none."""
    return "" if ids is None else f"{ids[0]}:{ids[1]}"
