"""Users and owners by a container's own files, in every form that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.root import Root
from engine.users import UnknownUser, User, find_group, find_owner, find_user

PASSWD = """\
# comment
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
2000:x:3000:3001::/home/number:/bin/sh
homeless:x:1002:1002:::
broken
short:x:9
"""
GROUP = """\
root:x:0:
app:x:1001:
wheel:x:10:root,app
audio:x:11:app
broken
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    with Root(str(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", User(0, 0, (10,), "/root"), id="nobody named is root"),
        pytest.param("app", User(1000, 1001, (10, 11), "/home/app"), id="name"),
        pytest.param("1000", User(1000, 1001, (10, 11), "/home/app"), id="number of a name"),
        pytest.param("app:wheel", User(1000, 10, (), "/home/app"), id="name and group"),
        pytest.param("app:55", User(1000, 55, (), "/home/app"), id="group that has no name"),
        pytest.param("4242", User(4242, 0, (), "/"), id="number that has no name"),
        pytest.param("4242:4343", User(4242, 4343, (), "/"), id="numbers"),
        pytest.param("2000", User(3000, 3001, (), "/home/number"), id="name made of digits"),
        pytest.param("homeless", User(1002, 1002, (), "/"), id="no home"),
    ],
)
def test_user_is_found(root: Root, text: str, expected: User) -> None:
    assert find_user(root, text) == expected


@pytest.mark.parametrize("text", ["nobody-here", "app:nobody-here", "nobody-here:0", "short"])
def test_unknown_user_or_group_is_refused(root: Root, text: str) -> None:
    with pytest.raises(UnknownUser, match="unable to find (user|group)"):
        find_user(root, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("app", (1000, 1000)), ("app:wheel", (1000, 10)), ("5", (5, 5)), ("5:6", (5, 6))],
)
def test_owner_is_found(root: Root, text: str, expected: tuple[int, int]) -> None:
    assert find_owner(root, text) == expected


def test_unknown_owner_is_refused(root: Root) -> None:
    with pytest.raises(UnknownUser, match="no such user: ghost"):
        find_owner(root, "ghost")


def test_container_without_the_files_has_numbers_only(tmp_path: Path) -> None:
    with Root(str(tmp_path)) as empty:
        assert find_user(empty, "") == User(0, 0, (), "/root")
        assert find_user(empty, "7:8") == User(7, 8, (), "/")
        assert find_group(empty, "9") == 9
        with pytest.raises(UnknownUser):
            find_user(empty, "app")


def test_files_that_lead_out_of_the_container_are_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (tmp_path / "passwd").write_text(PASSWD)
    (inside / "etc/passwd").symlink_to(tmp_path / "passwd")
    with Root(str(inside)) as root, pytest.raises(UnknownUser):
        find_user(root, "app")
