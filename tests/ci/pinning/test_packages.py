"""`images lock --stand-ins`, with true apt and a small archive in the place of this machine's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ci import images_command
from ci.command_line import parse
from ci.errors import CheckFailed, InfrastructureError
from engine import packages
from engine.packages import Package, read_pins
from tests.images.archive import Archive

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """What this machine has its packages from."""
    archive = Archive(tmp_path)
    monkeypatch.setattr(packages, "APT", archive.settings)
    return archive


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A base with what is required, and a recipe upon it."""
    images = tmp_path / "tree" / "images"
    for name, wanted in (("debian", "?priority(required)\n"), ("web", "server\n")):
        (images / name).mkdir(parents=True)
        (images / name / "packages.in").write_text(wanted)
    return images


def lock(images: Path, *arguments: str) -> int:
    root = images.parent
    return images_command.main(parse(["images", "lock", "--stand-ins", *arguments], root), root)


def filled(archive: Archive) -> dict[str, Package]:
    """A base of one package, and a server that needs it and another one."""
    return {
        "libc": archive.add("libc", "2:1", priority="required"),
        "server": archive.add("server", "7", "libc, libssl"),
        "libssl": archive.add("libssl", "3"),
    }


def test_every_package_is_pinned_where_it_is_added(
    images: Path, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    there = filled(archive)
    assert lock(images) == 0
    assert read_pins(images / "debian") == (there["libc"],)
    assert read_pins(images / "web") == (there["libssl"], there["server"])
    assert capsys.readouterr().out.splitlines() == [
        "debian: 1 packages, 1 changes",
        "  libc 2:1: new",
        "web: 2 packages, 2 changes",
        "  libssl 3: new",
        "  server 7: new",
    ]


def test_what_moved_since_is_told_and_pinned(
    images: Path, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(archive)
    lock(images)
    archive.clear()
    archive.add("libc", "2:1", "libc", priority="required")
    server = archive.add("server", "7.1")
    capsys.readouterr()
    assert lock(images, "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"recipe": "debian", "packages": 1, "changes": ["libc 2:1: another file"]},
        {"recipe": "web", "packages": 1, "changes": ["server 7 -> 7.1", "libssl 3: gone"]},
    ]
    assert read_pins(images / "web") == (server,)


def test_a_check_writes_nothing_and_fails_until_all_is_pinned(
    images: Path, archive: Archive
) -> None:
    filled(archive)
    with pytest.raises(CheckFailed, match="archive has now: debian, web; run `images lock --s"):
        lock(images, "--check")
    assert read_pins(images / "web") == ()
    lock(images)
    assert lock(images, "--check") == 0


def test_pins_that_cannot_be_read_are_made_anew(images: Path, archive: Archive) -> None:
    there = filled(archive)
    (images / "debian" / "packages.txt").write_text("<<<<<<< ours\n")
    assert lock(images) == 0
    assert read_pins(images / "debian") == (there["libc"],)


def test_where_no_archive_has_the_packages_nothing_is_written(
    images: Path, archive: Archive
) -> None:
    archive.add("libc", "1", priority="required")
    with pytest.raises(InfrastructureError, match="failed: nothing was written; run this where"):
        lock(images)
    assert read_pins(images / "debian") == ()


def test_a_machine_without_apt_is_told(
    images: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfrastructureError, match="dpkg is not on this machine: nothing was wr"):
        lock(images)
