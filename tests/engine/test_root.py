"""A root is never left, whatever links and dots a path holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.root import Root, clean

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")

OUTSIDE = [
    pytest.param("../secret", id="dots"),
    pytest.param("../../../../../../../../../../../../../../../../etc/passwd", id="many dots"),
    pytest.param("link/secret", id="absolute link"),
    pytest.param("up/secret", id="relative link"),
    pytest.param("folder/deep/secret", id="link below a folder"),
    pytest.param("chain/secret", id="link to a link"),
    pytest.param("file", id="link to a file"),
]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("the host's")
    return path


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Iterator[Root]:
    inside = tmp_path / "root"
    (inside / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("beside the root")
    (inside / "link").symlink_to(outside)
    (inside / "up").symlink_to("../outside")
    (inside / "folder/deep").symlink_to("../../outside")
    (inside / "chain").symlink_to("link")
    (inside / "file").symlink_to(outside / "secret")
    (inside / "magic").symlink_to("/proc/self/root")
    with Root(str(inside)) as opened:
        yield opened


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_is_outside_cannot_be_read(root: Root, path: str) -> None:
    assert not root.exists(path)
    with pytest.raises(OSError, match="No such file"):
        root.read(path)
    with pytest.raises(OSError, match="No such file"):
        root.real(path)


@pytest.mark.parametrize("path", OUTSIDE)
def test_writing_stays_inside(root: Root, outside: Path, path: str) -> None:
    try:
        root.write(path, b"overwritten")
    except OSError:
        pass  # a link whose target is not there, inside
    assert (outside / "secret").read_text() == "the host's"
    assert os.listdir(outside) == ["secret"]


@pytest.mark.parametrize("path", ["link/new", "up/new", "../outside/new", "chain/a/b"])
def test_directories_are_made_inside(root: Root, outside: Path, path: str) -> None:
    try:
        root.make_dirs(path)
    except OSError:
        pass  # a link whose target is not there, inside
    assert os.listdir(outside) == ["secret"]


def test_process_links_lead_nowhere(root: Root) -> None:
    assert not root.exists("magic/etc/passwd")


def test_absolute_link_is_followed_within_the_root(root: Root) -> None:
    root.write("/target/file", b"inside")
    os.symlink("/target", f"{root.path}/absolute")
    assert root.read("absolute/file") == b"inside"
    assert root.real("absolute/file") == f"{root.path}/target/file"


def test_walk_does_not_enter_links(root: Root) -> None:
    found = {entry.path for entry in root.walk()}
    assert found == {"chain", "file", "folder", "folder/deep", "link", "magic", "up"}


def test_parent_of_a_link_is_the_link_s_own_folder(root: Root) -> None:
    with root.parent("file") as (fd, name):
        os.unlink(name, dir_fd=fd)
    assert not os.path.lexists(f"{root.path}/file")


def test_pipe_does_not_block_who_reads_or_writes_it(root: Root) -> None:
    os.mkfifo(f"{root.path}/pipe")
    assert root.read("pipe") == b""
    with pytest.raises(OSError, match="No such device"):
        root.write("pipe", b"nobody reads")


def test_made_directories_are_told_outermost_first(root: Root) -> None:
    assert root.make_dirs("/a/b/c", mode=0o750, owner=(5, 6)) == ["/a", "/a/b", "/a/b/c"]
    status = root.stat("/a/b")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o750, 5, 6)
    assert root.make_dirs("/a/b/c") == []


def test_written_file_has_its_mode_and_owner(root: Root) -> None:
    root.write("/new/file", b"text", mode=0o4755, owner=(7, 8))
    status = root.stat("/new/file")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4755, 7, 8)


def test_names_that_are_no_text_are_walked_in_byte_order(root: Root) -> None:
    names = ["b", "é", os.fsdecode(b"\xff"), "a\nb"]
    for name in names:
        root.write(f"/names/{name}", b"")
    walked = [os.fsencode(entry.path) for entry in root.walk("/names")]
    assert walked == sorted(os.fsencode(name) for name in names)


@given(st.text(alphabet="a./", max_size=30))
def test_clean_path_is_absolute_and_has_no_dots(path: str) -> None:
    found = clean(path)
    assert found.startswith("/") and not found.startswith("//")
    assert not {".", "..", ""} & set(found[1:].split("/")) or found == "/"
    assert clean(found) == found
