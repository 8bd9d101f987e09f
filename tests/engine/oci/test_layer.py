"""Upper directories become layers and come back as they were."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import io
import os
import socket
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import linux
from engine.oci.layer import Layer, pack
from engine.oci.streams import LayerError
from engine.oci.unpack import unpack
from tests.engine.oci.trees import describe, needs_root

pytestmark = needs_root

# cap_net_bind_service=ep, as setcap writes it; it holds bytes that are not UTF-8 in others.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
CLONE_NEWNS = 0x00020000
MS_PRIVATE = 1 << 18


def packed(upper: Path, *, epoch: int | None = None) -> tuple[Layer, bytes]:
    """The layer of `upper` and its blob."""
    out = io.BytesIO()
    return pack(upper, out, epoch=epoch), out.getvalue()


def members(blob: bytes) -> list[tarfile.TarInfo]:
    """The entries of a layer's blob."""
    with tarfile.open(fileobj=io.BytesIO(blob), errors="surrogateescape") as tar:
        return tar.getmembers()


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """An upper directory with one of everything."""
    top = tmp_path / "upper"
    (top / "d/empty").mkdir(parents=True)
    (top / "d/file").write_text("content")
    (top / "d/file").chmod(0o4755)
    os.chown(top / "d/file", 1234, 5678)
    os.chown(top / "d/empty", 4_000_000_000 // 2, 3_000_000)
    (top / "a").write_text("linked")
    os.link(top / "a", top / "z")
    os.symlink("nowhere/at all", top / "dangling")
    os.lchown(top / "dangling", 7, 8)
    os.mkfifo(top / "fifo", 0o640)
    os.mknod(top / "null", 0o20666, os.makedev(1, 3))
    (top / "capable").write_text("x")
    os.setxattr(top / "capable", "security.capability", CAPABILITY)
    os.setxattr(top / "capable", "user.note", b"\xff\x00\n")
    (top / os.fsdecode(b"odd \xff\nn\xc3\xa9")).write_text("odd")
    (top / ("deep/" + "n" * 120)).mkdir(parents=True)
    (top / ("deep/" + "n" * 120) / ("f" * 200)).write_text("long name")
    for number, path in enumerate(sorted(top.rglob("*"))):
        os.utime(path, (10**9 + number, 10**9 + number), follow_symlinks=False)
    return top


def test_a_tree_comes_back_as_it_was(upper: Path, tmp_path: Path) -> None:
    before = describe(upper)
    wrote, blob = packed(upper)
    (tmp_path / "back").mkdir()
    read = unpack(io.BytesIO(blob), tmp_path / "back")
    assert describe(tmp_path / "back") == before
    assert len(before) == 13
    assert read == wrote
    assert (tmp_path / "back/a").stat().st_ino == (tmp_path / "back/z").stat().st_ino


def test_a_layer_says_its_digests_and_size(upper: Path) -> None:
    layer, blob = packed(upper)
    assert layer.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(blob)).hexdigest()}"
    assert layer.size == len(blob)
    assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


def test_equal_trees_give_equal_bytes(upper: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", upper, tmp_path / "copy"], check=True, timeout=120)
    assert packed(tmp_path / "copy") == packed(upper)


def test_names_are_sorted_owners_are_numbers_and_the_gzip_has_no_time(upper: Path) -> None:
    _, blob = packed(upper)
    entries = members(blob)
    names = [entry.name for entry in entries]
    assert [name for name in names if "/" not in name] == sorted(
        (name for name in names if "/" not in name), key=os.fsencode
    )
    assert names.index("d") < names.index("d/empty") < names.index("d/file")
    assert {entry.uname + entry.gname for entry in entries} == {""}
    assert blob[4:8] == bytes(4)


@pytest.mark.engine
def test_what_the_overlay_hides_becomes_whiteouts(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "d/opaque").mkdir(parents=True)
    os.mknod(upper / "d/gone", 0o20000, os.makedev(0, 0))
    os.mknod(upper / "gone", 0o20000, os.makedev(0, 0))
    (upper / "d/opaque/new").touch()
    os.setxattr(upper / "d/opaque", "trusted.overlay.opaque", b"y")
    os.setxattr(upper / "d", "trusted.overlay.impure", b"y")
    os.setxattr(upper / "d", "trusted.overlay.origin", b"\x00\xfb")
    before = describe(upper)
    _, blob = packed(upper)
    assert [entry.name for entry in members(blob)] == [
        *("d", "d/.wh.gone", "d/opaque", "d/opaque/.wh..wh..opq", "d/opaque/new", ".wh.gone"),
    ]
    assert not any(entry.pax_headers for entry in members(blob))
    (tmp_path / "back").mkdir()
    unpack(io.BytesIO(blob), tmp_path / "back")
    assert list(describe(tmp_path / "back")) == list(before)
    assert (tmp_path / "back/gone").lstat().st_rdev == 0
    assert os.getxattr(tmp_path / "back/d/opaque", "trusted.overlay.opaque") == b"y"
    assert os.listxattr(tmp_path / "back/d") == []


def test_an_overlay_of_the_unpacked_layers_shows_what_the_first_one_showed(tmp_path: Path) -> None:
    # By a thread with mounts of its own: other tests look at what is mounted on the machine.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_overlay_shows_the_same, tmp_path).result()


def _overlay_shows_the_same(tmp_path: Path) -> None:
    if ctypes.CDLL(None).unshare(CLONE_NEWNS):
        pytest.skip("no mounts of its own here")
    linux.mount("none", "/", "", linux.MS_REC | MS_PRIVATE)
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/d").mkdir()
    for name in ("d/a", "d/b", "keep", "drop"):
        (tmp_path / "lower" / name).write_text(name)
    with overlay(tmp_path, "lower", upper="upper"):
        subprocess.run(
            ["sh", "-c", "rm drop d/a; rm -r d; mkdir d; echo new >d/c; chmod 600 keep"],
            cwd=tmp_path / "merged",
            check=True,
            timeout=120,
        )
        shown = describe(tmp_path / "merged")
    _, blob = packed(tmp_path / "upper")
    (tmp_path / "back").mkdir()
    unpack(io.BytesIO(blob), tmp_path / "back")
    with overlay(tmp_path, "back:lower"):
        assert describe(tmp_path / "merged") == shown
    assert list(shown) == ["d", "d/c", "keep"]


class overlay:
    """A mounted overlay of folders in `base`, seen at `base`/merged."""

    def __init__(self, base: Path, lower: str, *, upper: str = "") -> None:
        below = ":".join(str(base / name) for name in lower.split(":"))
        writable = f",upperdir={base / upper},workdir={base / 'work'}" if upper else ""
        self._target = str(base / "merged")
        self._command = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={below}{writable}"]

    def __enter__(self) -> None:
        done = subprocess.run(
            [*self._command, self._target], capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["umount", self._target], check=True, timeout=120)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    upper = tmp_path / "u"
    upper.mkdir()
    (upper / "file").touch()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(upper / "s"))
    listener.close()
    assert [entry.name for entry in members(packed(upper)[1])] == ["file"]


@pytest.mark.engine
def test_attributes_of_the_engine_and_the_overlay_stay_here(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    for name in ("trusted.brewline.sha256", "trusted.overlay.origin", "user.overlay.impure"):
        os.setxattr(tmp_path / "f", name, b"x")
    (entry,) = members(packed(tmp_path)[1])
    assert entry.pax_headers == {}


def test_no_file_is_younger_than_the_epoch(tmp_path: Path) -> None:
    for name, time in (("old", 5), ("new", 500)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    entries = members(packed(tmp_path, epoch=100)[1])
    assert {entry.name: entry.mtime for entry in entries} == {"old": 5, "new": 100}


def test_an_empty_directory_is_an_empty_layer(tmp_path: Path) -> None:
    (tmp_path / "u").mkdir()
    (tmp_path / "back").mkdir()
    _, blob = packed(tmp_path / "u")
    unpack(io.BytesIO(blob), tmp_path / "back")
    assert members(blob) == []
    assert os.listdir(tmp_path / "back") == []


@pytest.mark.engine
@pytest.mark.parametrize("attribute", ["redirect", "metacopy"])
def test_content_that_is_in_another_layer_is_refused(tmp_path: Path, attribute: str) -> None:
    if attribute == "redirect":
        (tmp_path / "x").mkdir()
    else:
        (tmp_path / "x").touch()
    os.setxattr(tmp_path / "x", f"trusted.overlay.{attribute}", b"/y")
    with pytest.raises(LayerError, match="mount overlays with"):
        packed(tmp_path)
