"""Whose the files are that instructions make: `--chown`, and WORKDIR after USER."""

from __future__ import annotations

from engine.dockerfile.errors import DockerfileError
from engine.root import Root
from engine.users import UnknownUser, find_group, find_user


def find_owner(root: Root, text: str) -> tuple[int, int]:
    """User and group id of `user`, `user:group` or `:group`, each a name or a number.

    Without a group, a name has the group that the container's /etc/passwd says, and a number the
    group of the same number, whatever is written there. Raises DockerfileError.
    """
    user, _, group = text.partition(":")
    try:
        if user in ("", "root"):
            uid = gid = 0
        elif user.isdigit():
            uid = gid = int(user)
        else:
            found = find_user(root, user)
            uid, gid = found.uid, found.gid
        return uid, find_group(root, group) if group else gid
    except UnknownUser as error:
        raise DockerfileError(f"invalid user {text}: {error}") from None
