"""Snapshots in true overlays: what is deleted stays deleted, however layers are merged."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import linux, snapshot
from engine.root import Root
from engine.snapshot import EMPTY, Snapshot, Snapshots, is_whiteout, merge
from engine.store import Store

pytestmark = pytest.mark.engine


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """Two layers as the kernel leaves them: files, and then what was deleted and replaced."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    upper.mkdir()
    return lower, upper


def tree(folder: Path) -> dict[str, str]:
    """Paths below a folder with what is there: a file's text, a link's target, or a kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            what = f"-> {path.readlink()}"
        elif is_whiteout(status):
            what = "whiteout"
        elif path.is_dir():
            what = "opaque" if _opaque(path) else "folder"
        else:
            what = path.read_text()
        found[str(path.relative_to(folder))] = what
    return found


def _opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def opaque(path: Path) -> None:
    path.mkdir()
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def test_whiteout_takes_a_file_s_place(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    (lower / "file").write_text("old")
    whiteout(upper / "file")
    merge(str(upper), str(lower))
    assert tree(lower) == {"file": "whiteout"}  # layers below may have it, too


def test_whiteout_takes_a_folder_s_place(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    (lower / "folder/deep").mkdir(parents=True)
    (lower / "folder/deep/file").write_text("old")
    whiteout(upper / "folder")
    merge(str(upper), str(lower))
    assert tree(lower) == {"folder": "whiteout"}


def test_opaque_folder_hides_all_below(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    (lower / "folder").mkdir()
    (lower / "folder/old").write_text("old")
    opaque(upper / "folder")
    (upper / "folder/new").write_text("new")
    merge(str(upper), str(lower))
    assert tree(lower) == {"folder": "opaque", "folder/new": "new"}


def test_folder_over_a_whiteout_stays_opaque(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    whiteout(lower / "folder")
    (upper / "folder").mkdir()
    (upper / "folder/new").write_text("new")
    merge(str(upper), str(lower))
    # Or what a layer below both has in that folder would be back.
    assert tree(lower) == {"folder": "opaque", "folder/new": "new"}


def test_folder_over_an_opaque_folder_stays_opaque(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    opaque(lower / "folder")
    (lower / "folder/old").write_text("old")
    (upper / "folder").mkdir()
    whiteout(upper / "folder/old")
    merge(str(upper), str(lower))
    assert tree(lower) == {"folder": "opaque", "folder/old": "whiteout"}


def test_attributes_are_the_upper_layer_s_and_the_layer_stays(layers: tuple[Path, Path]) -> None:
    lower, upper = layers
    (lower / "folder").mkdir(mode=0o755)
    (upper / "folder").mkdir()
    (upper / "folder").chmod(0o1770)
    os.chown(upper / "folder", 5, 6)
    (upper / "file").write_text("text")
    (upper / "link").symlink_to("file")
    os.utime(upper, (1000, 1000))
    before = tree(upper)
    merge(str(upper), str(lower))
    status = (lower / "folder").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o1770, 5, 6)
    assert lower.stat().st_mtime == 1000
    assert tree(upper) == before == tree(lower)
    assert (lower / "file").samefile(upper / "file")


def _snapshots(folder: Path) -> Snapshots:
    return Snapshots(Store(folder / "store"), folder / "mounts")


def _random_chain(folder: Path) -> None:
    """Changes at random, through many merges, compared with a plain folder after each ten."""
    snapshots = _snapshots(folder)
    plain = folder / "plain"
    plain.mkdir()
    held = EMPTY
    chance = random.Random(7)
    for number in range(150):
        change = _change(chance, number)
        with Root(str(plain)) as root:
            change(root)
        held = snapshots.change(held, f"change {number}", change)
        if number % 10 == 9:
            with snapshots.view(held) as root:
                assert tree(Path(root.path)) == tree(plain), number
    assert len(held.layers) < 64


def _change(chance: random.Random, number: int) -> Callable[[Root], None]:
    names = [chance.choice("abc") for _ in range(chance.randrange(1, 4))]
    path, kind = "/".join(names), chance.randrange(4)

    def change(root: Root) -> None:
        place = Path(root.path, path)
        for above in [place, *place.parents]:
            if above != Path(root.path) and os.path.lexists(above) and not above.is_dir():
                above.unlink()
        if kind == 0 and place.exists():
            subprocess.run(["rm", "-rf", place], check=True)
        elif kind == 1:
            subprocess.run(["rm", "-rf", place], check=True)
            place.mkdir(parents=True)
            (place / "made").write_text(f"{number}")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["rm", "-rf", place], check=True)
            place.write_text(f"{number}")

    return change


def _recall(folder: Path) -> None:
    snapshots = _snapshots(folder)
    runs = []

    def make(root: Root) -> None:
        runs.append(1)
        root.write("/file", b"text")

    first = snapshots.change(EMPTY, "key", make)
    assert snapshots.change(EMPTY, "key", make) == first
    assert snapshots.change(first, "key", make) != first
    assert len(runs) == 2
    assert len(snapshots.change(first, "nothing", lambda _: None).layers) == 1


def _recent(folder: Path) -> None:
    snapshots = _snapshots(folder)

    def make(root: Root) -> None:
        root.write("/file", b"text")

    first = snapshots.change(EMPTY, "key", make, recent=True)
    assert snapshots.change(EMPTY, "key", make, recent=True) == first
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(snapshot, "_RECENT_SECONDS", -1)
    assert snapshots.change(EMPTY, "key", make) == first
    again = snapshots.change(EMPTY, "key", make, recent=True)
    assert (again.key == first.key) and again.layers != first.layers
    assert snapshots.change(EMPTY, "key", make) == again


def _failed(folder: Path) -> None:
    snapshots = _snapshots(folder)

    def fail(root: Root) -> None:
        root.write("/half", b"")
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            snapshots.change(EMPTY, "key", fail)
    assert os.listdir(snapshots.store.layers) == []
    assert os.listdir(folder / "mounts") == ["empty"]
    assert os.listdir(snapshots.store.temporary) in ([], ["alive"])


def _device(folder: Path) -> None:
    snapshots = _snapshots(folder)
    one = snapshots.change(EMPTY, "one", lambda root: root.write("/a", b""))

    def node(root: Root) -> None:
        os.mknod(f"{root.path}/zero", 0o600 | stat.S_IFCHR, os.makedev(1, 5))

    two: Snapshot = snapshots.change(one, "two", node)
    with snapshots.view(two) as root, pytest.raises(PermissionError):
        root.read("/zero")


CASES = {case.__name__: case for case in (_random_chain, _recall, _recent, _failed, _device)}


@pytest.mark.parametrize("name", CASES)
def test_in_a_mount_namespace_of_its_own(name: str, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounts need root")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.engine.test_snapshot"]
    done = subprocess.run(
        [*command, name, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    linux.mount("none", "/", "", linux.MS_REC | 1 << 18)  # private, in case it is not
    CASES[sys.argv[1]](Path(sys.argv[2]))
