"""Layers made by strangers: odd ones are read, hostile ones stay in their directory."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.oci.layer import TAR_LAYER
from engine.oci.streams import LayerError
from engine.oci.unpack import unpack
from tests.engine.oci.trees import describe, entry, folder, layer, link, needs_root

pytestmark = needs_root

REG = tarfile.REGTYPE


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """Where a layer is unpacked; everything beside it must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("untouched")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.mark.parametrize("name", ["../outside/x", "a/../../outside/x", "..", "a/.."])
def test_a_name_that_leads_upwards_is_refused(inside: Path, name: str) -> None:
    with pytest.raises(LayerError, match="leads out of the layer"):
        unpack(layer([(entry(name), b"x")]), inside)
    assert os.listdir(inside.parent / "outside") == ["file"]


@pytest.mark.parametrize("name", [".wh.", ".wh...", ".wh..", "d/.wh..."])
def test_a_whiteout_of_no_name_is_refused(inside: Path, name: str) -> None:
    with pytest.raises(LayerError, match="leads out of the layer"):
        unpack(layer([entry(name)]), inside)


def test_an_absolute_name_is_taken_as_a_relative_one(inside: Path) -> None:
    unpack(layer([(entry("//etc/./x"), b"x")]), inside)
    assert (inside / "etc/x").read_text() == "x"


@pytest.mark.parametrize("target", ["../outside", "/outside", "{outside}", "../../../.."])
def test_a_symbolic_link_does_not_lead_a_later_name_out(inside: Path, target: str) -> None:
    outside = inside.parent / "outside"
    before = describe(outside)
    target = target.replace("{outside}", str(outside))
    for through in ("out/file", "out/new", "out/d/new"):
        try:
            unpack(layer([link("out", target), (entry(through), b"evil")]), inside)
        except LayerError:
            pass  # the link leads nowhere in the layer: nothing to write into
        shutil.rmtree(inside)
        inside.mkdir()
    assert describe(outside) == before


def test_a_symbolic_link_is_followed_within_the_layer(inside: Path) -> None:
    above = [folder("usr"), folder("usr/lib"), link("lib", "/usr/lib")]
    unpack(layer([*above, (entry("lib/x"), b"x")]), inside)
    assert (inside / "usr/lib/x").read_text() == "x"
    assert (inside / "lib").is_symlink()


def test_a_file_replaces_a_symbolic_link_and_not_what_it_points_at(inside: Path) -> None:
    outside = inside.parent / "outside/file"
    unpack(layer([link("f", str(outside)), (entry("f"), b"new")]), inside)
    assert (inside / "f").read_text() == "new"
    assert not (inside / "f").is_symlink()
    assert outside.read_text() == "untouched"


def test_a_directory_entry_replaces_a_symbolic_link(inside: Path) -> None:
    outside = inside.parent / "outside"
    entries = [link("d", str(outside)), entry("d", tarfile.DIRTYPE, mode=0o700), entry("d/x")]
    unpack(layer(entries), inside)
    assert (inside / "d/x").is_file()
    assert os.listdir(outside) == ["file"]


@pytest.mark.parametrize("target", ["../outside/file", "out/file", "missing"])
def test_a_hard_link_takes_only_what_is_in_the_layer(inside: Path, target: str) -> None:
    outside = inside.parent / "outside"
    entries = [link("out", str(outside)), link("hard", target, hard=True)]
    with pytest.raises(LayerError):
        unpack(layer(entries), inside)
    assert (outside / "file").stat().st_nlink == 1


def test_a_hard_link_to_itself_keeps_the_file(inside: Path) -> None:
    unpack(layer([(entry("f"), b"x"), link("f", "f", hard=True)]), inside)
    assert (inside / "f").read_text() == "x"


def test_attributes_that_mean_something_to_an_overlay_are_not_taken(inside: Path) -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.user.fine": "yes",
    }
    unpack(layer([entry("d", tarfile.DIRTYPE, pax_headers=headers)]), inside)
    assert os.listxattr(inside / "d") == ["user.fine"]


def test_missing_directories_are_made(inside: Path) -> None:
    unpack(layer([(entry("a/b/c"), b"x")]), inside)
    assert stat.S_IMODE((inside / "a/b").stat().st_mode) == 0o755


def test_the_top_directory_takes_its_entry(inside: Path) -> None:
    unpack(layer([entry("./", tarfile.DIRTYPE, mode=0o711, uid=5, mtime=99)]), inside)
    status = inside.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime) == (0o711, 5, 99)


def test_a_directory_keeps_its_time_though_files_came_later(inside: Path) -> None:
    entries = [entry("d", tarfile.DIRTYPE, mtime=77), entry("d/x"), entry("d/y")]
    unpack(layer(entries), inside)
    assert (inside / "d").stat().st_mtime == 77


@pytest.mark.engine
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_name_that_is_hidden_and_new_hides_what_is_below(
    inside: Path, order: tuple[int, int]
) -> None:
    both = [entry(".wh.d"), folder("d")]
    unpack(layer([*(both[number] for number in order), entry("d/x")]), inside)
    assert (inside / "d/x").is_file()
    assert os.getxattr(inside / "d", "trusted.overlay.opaque") == b"y"


@pytest.mark.engine
def test_a_hidden_name_becomes_a_directory_where_a_file_needs_one(inside: Path) -> None:
    unpack(layer([entry(".wh.d"), entry("d/x")]), inside)
    assert os.getxattr(inside / "d", "trusted.overlay.opaque") == b"y"


def test_a_whiteout_does_not_remove_a_file_of_its_own_layer(inside: Path) -> None:
    unpack(layer([(entry("f"), b"new"), entry(".wh.f")]), inside)
    assert (inside / "f").read_text() == "new"


def test_the_bookkeeping_of_another_driver_is_left_out(inside: Path) -> None:
    unpack(layer([entry(".wh..wh.plnk"), entry(".wh..wh.aufs")]), inside)
    assert os.listdir(inside) == []


def test_a_file_below_a_file_is_refused(inside: Path) -> None:
    with pytest.raises(LayerError, match="cannot be unpacked"):
        unpack(layer([entry("f"), entry("f/x")]), inside)


@pytest.mark.parametrize(
    ("compress", "media_type"),
    [
        pytest.param(lambda data: data, TAR_LAYER, id="plain"),
        pytest.param(gzip.compress, f"{TAR_LAYER}+gzip", id="gzip"),
        pytest.param(
            lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
            f"{TAR_LAYER}+gzip",
            id="gzip in two members",
        ),
    ],
)
def test_the_compression_is_recognised(inside: Path, compress: object, media_type: str) -> None:
    assert callable(compress)
    plain = layer([(entry("f"), b"x" * 5000)]).getvalue()
    found = unpack(io.BytesIO(compress(plain)), inside)
    assert (inside / "f").stat().st_size == 5000
    assert found.media_type == media_type
    shutil.rmtree(inside)
    inside.mkdir()
    assert found.diff_id == unpack(io.BytesIO(plain), inside).digest


ZSTD = pytest.mark.skipif(not shutil.which("zstd"), reason="apt-get install zstd")


def zstd(plain: bytes) -> bytes:
    """`plain` compressed."""
    return subprocess.run(["zstd", "-c"], input=plain, capture_output=True, timeout=120).stdout


@ZSTD
def test_zstd_is_read(inside: Path) -> None:
    found = unpack(io.BytesIO(zstd(layer([(entry("f"), b"x" * 5000)]).getvalue())), inside)
    assert (inside / "f").read_bytes() == b"x" * 5000
    assert found.media_type == f"{TAR_LAYER}+zstd"


@ZSTD
@pytest.mark.parametrize("cut", [1, 600, 4000])
def test_a_damaged_layer_of_zstd_is_refused(inside: Path, cut: int) -> None:
    blob = zstd(layer([(entry("f"), os.urandom(5000))]).getvalue())[:-cut]
    with pytest.raises(LayerError, match="damaged"):
        unpack(io.BytesIO(blob), inside)


@ZSTD
def test_zstd_stops_when_its_tar_is_refused(inside: Path) -> None:
    blob = zstd(layer([(entry("../out"), b"x"), (entry("f"), os.urandom(9 << 20))]).getvalue())
    with pytest.raises(LayerError, match="leads out"):
        unpack(io.BytesIO(blob), inside)


@pytest.mark.parametrize("cut", [10, 600, 2000])
def test_a_damaged_layer_is_refused(inside: Path, cut: int) -> None:
    plain = layer([(entry("f"), os.urandom(5000))]).getvalue()
    with pytest.raises(LayerError):
        unpack(io.BytesIO(gzip.compress(plain)[:-cut]), inside)
    with pytest.raises(LayerError):
        unpack(io.BytesIO(plain[: 512 + cut]), inside)


@pytest.mark.parametrize("junk", [b"", b"no tar" * 500, b"\x1f\x8b" + b"x" * 100])
def test_what_is_no_layer_is_refused(inside: Path, junk: bytes) -> None:
    with pytest.raises(LayerError):
        unpack(io.BytesIO(junk), inside)


def test_a_layer_with_another_digest_is_refused(inside: Path) -> None:
    data = layer([entry("f")]).getvalue()
    good = unpack(io.BytesIO(data), inside)
    assert unpack(io.BytesIO(data), inside, digest=good.digest, diff_id=good.diff_id) == good
    for wrong in ({"digest": "sha256:0"}, {"diff_id": "sha256:0"}):
        with pytest.raises(LayerError, match="not sha256:0"):
            unpack(io.BytesIO(data), inside, **wrong)


def test_no_descriptor_is_left_open(inside: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unpack(layer([(entry("a/b"), b"x"), link("a/l", "a/b", hard=True), folder("c")]), inside)
    with pytest.raises(LayerError):
        unpack(layer([(entry("x/y"), b"x"), entry("x/../../z")]), inside)
    assert len(os.listdir("/proc/self/fd")) == before


NAMES = st.sampled_from(["a", "b", "a/b", "a/b/a", "b/a", "../x", "/a", ".wh.a", "a/.wh..wh..opq"])
TARGETS = st.sampled_from(["a", "b", "a/b", "..", "../..", "../outside", "/", "../outside/file"])
KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(NAMES, KINDS, TARGETS), max_size=8))
def test_no_layer_writes_outside_its_directory(
    inside: Path, entries: list[tuple[str, bytes, str]]
) -> None:
    outside = inside.parent / "outside"
    before = describe(outside)
    try:
        unpack(
            layer(
                (entry(name, kind, linkname=target, uid=7), b"evil" if kind == REG else b"")
                for name, kind, target in entries
            ),
            inside,
        )
    except LayerError:
        pass
    assert describe(outside) == before
    assert sorted(os.listdir(inside.parent)) == ["inside", "outside"]
    shutil.rmtree(inside)
    inside.mkdir()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_layer_with_changed_bytes_is_read_or_refused(
    inside: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(layer([folder("d"), (entry("d/f"), b"x" * 500)]).getvalue())
    for position, value in changes:
        data[position] = value
    try:
        unpack(io.BytesIO(bytes(data)), inside)
    except LayerError:
        pass
    assert sorted(os.listdir(inside.parent)) == ["inside", "outside"]
    shutil.rmtree(inside)
    inside.mkdir()
