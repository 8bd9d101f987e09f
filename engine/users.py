"""Users and groups of a container, by its own /etc/passwd and /etc/group."""

from __future__ import annotations

from dataclasses import dataclass

from engine.root import Root

_PASSWD = "/etc/passwd"
_GROUP = "/etc/group"
_LARGEST_ID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class User:
    """Who a command runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class UnknownUser(LookupError):
    """A user or group name that the container does not have."""


def _lines(root: Root, path: str) -> list[list[str]]:
    try:
        text = root.read(path).decode(errors="replace")
    except OSError:
        return []
    rows = [line.split(":") for line in text.splitlines() if not line.startswith("#")]
    # A damaged line is passed over, as the C library does.
    numbers = slice(2, 4) if path == _PASSWD else slice(2, 3)
    return [row for row in rows if len(row) > 3 and all(n.isdigit() for n in row[numbers])]


def find_user(root: Root, text: str) -> User:
    """The user that `text` ("name", "id", "name:group" ...) names; empty is root.

    Raises UnknownUser.
    """
    name, _, group = text.partition(":")
    passwd = _lines(root, _PASSWD)
    row = _row(passwd, name or "0", 2)
    if row is None and not (name or "0").isdigit():
        raise UnknownUser(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(row[2]) if row else _id(name or "0")
    gid = int(row[3]) if row else 0
    groups: tuple[int, ...] = ()
    if group:
        gid = find_group(root, group)
    elif row is not None:
        member = row[0]
        rows = _lines(root, _GROUP)
        groups = tuple(int(r[2]) for r in rows if member in r[3].split(",") and int(r[2]) != gid)
    home = row[5] if row and len(row) > 5 and row[5] else "/root" if uid == 0 else "/"
    return User(uid, gid, groups, home)


def find_group(root: Root, name: str) -> int:
    """The id of a group by its name or number. Raises UnknownUser."""
    row = _row(_lines(root, _GROUP), name, 2)
    if row is not None:
        return int(row[2])
    if name.isdigit():
        return _id(name)
    raise UnknownUser(f"unable to find group {name}: no matching entries in group file")


def find_owner(root: Root, text: str) -> tuple[int, int]:
    """User and group id of a file's owner ("name", "name:group", "uid", "uid:gid").

    The group is the user's own where none is named. Raises UnknownUser.
    """
    name, _, group = text.partition(":")
    row = _row(_lines(root, _PASSWD), name, 2)
    if row is None and not name.isdigit():
        raise UnknownUser(f"find uid: no such user: {name}")
    uid = int(row[2]) if row else _id(name)
    if group:
        return uid, find_group(root, group)
    # As recorded: a name without a group owns with the number of its user.
    return uid, uid


def _id(number: str) -> int:
    if int(number) > _LARGEST_ID:
        raise UnknownUser(f"uids and gids must be in range 0-{_LARGEST_ID}")
    return int(number)


def _row(rows: list[list[str]], name: str, number: int) -> list[str] | None:
    for row in rows:
        if len(row) > number and (row[0] == name or (name.isdigit() and row[number] == name)):
            return row
    return None
