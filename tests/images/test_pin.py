"""The program that holds apt to a recipe's pins, with true apt and a small archive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engine.packages import Package, pins_text
from tests.images.archive import Archive
from tests.images.recipes import IMAGES

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


class Root:
    """What apt takes for a machine on which nothing is installed."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        for name in ("state/lists/partial", "cache/archives/partial", "recipe"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(
            f"""Dir::Etc "{archive.settings}"; Dir::Etc::preferences "{folder}/preferences";
Dir::State "{folder}/state"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";
APT::Sandbox::User "";
"""
        )
        self._folder = folder

    def has(self, name: str, version: str) -> None:
        """Let a package be installed."""
        (self._folder / "status").write_text(
            f"Package: {name}\nVersion: {version}\nStatus: install ok installed\n"
            "Architecture: all\nMaintainer: nobody\nDescription: nothing\n"
        )

    def pin(self, *pins: Package, wanted: str) -> subprocess.CompletedProcess[str]:
        """Run the program on a recipe."""
        recipe = self._folder / "recipe"
        (recipe / "packages.in").write_text(wanted)
        (recipe / "packages.txt").write_text(pins_text(pins))
        return self._run(str(IMAGES / "pin"), str(recipe))

    def installs(self, *wanted: str) -> dict[str, str]:
        """The packages and versions that apt would install now."""
        said = self._run("apt-get", "install", "--simulate", *wanted)
        assert said.returncode == 0, said.stderr
        return dict(re.findall(r"(?m)^Inst (\S+) \((\S+)", said.stdout))

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "APT_CONFIG": f"{self._folder}/apt.conf", "LC_ALL": "C"}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


@pytest.fixture
def root(tmp_path: Path, archive: Archive) -> Root:
    return Root(tmp_path / "root", archive)


def test_apt_takes_the_pinned_version_where_there_is_a_newer_one(
    root: Root, archive: Archive
) -> None:
    old, below = archive.add("a", "1:1~x", "b"), archive.add("b", "1")
    archive.add("a", "1:2", "b")
    archive.add("b", "2")
    assert root.pin(old, below, wanted="a\n").returncode == 0
    assert root.installs("a") == {"a": "1:1~x", "b": "1"}


def test_apt_takes_the_newest_of_what_is_gone_and_of_nothing_else(
    root: Root, archive: Archive
) -> None:
    kept = archive.add("b", "1")
    archive.add("b", "2")
    archive.add("a", "3", "b")
    gone = Package("a", "1", "all", "0" * 64)
    assert root.pin(gone, kept, wanted="a\n").returncode == 0
    assert root.installs("a") == {"a": "3", "b": "1"}


def test_pins_that_do_not_go_with_what_is_new_hold_nothing(root: Root, archive: Archive) -> None:
    below = archive.add("b", "1")
    archive.add("b", "2")
    archive.add("a", "3", "b (>= 2)")
    gone = Package("a", "1", "all", "0" * 64)
    assert root.pin(gone, below, wanted="a\n").returncode == 0
    assert root.installs("a") == {"a": "3", "b": "2"}


def test_a_newer_version_that_is_installed_stays(root: Root, archive: Archive) -> None:
    pinned, below = archive.add("a", "1", "b"), archive.add("b", "1")
    archive.add("a", "2", "b")
    root.has("b", "2")
    assert root.pin(pinned, below, wanted="a\nb\n").returncode == 0
    assert root.installs("a", "b") == {"a": "1"}


def test_another_file_of_the_same_version_is_refused(root: Root, archive: Archive) -> None:
    true = archive.add("a", "1")
    refused = root.pin(replace(true, sha256="0" * 64), wanted="a\n")
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[-1] == (
        f"pin: the archive has another file for a 1 than the pinned one (SHA-256"
        f" {true.sha256[:12]}…, not 000000000000…): find out why, and run `images lock --stand-ins`"
        " if the archive is right"
    )


def test_on_another_architecture_the_version_holds_and_its_hash_is_not_known(
    root: Root, archive: Archive
) -> None:
    old = archive.add("a", "1")
    archive.add("a", "2")
    elsewhere = replace(old, architecture="s390x", sha256="0" * 64)
    assert root.pin(elsewhere, wanted="a\n").returncode == 0
    assert root.installs("a") == {"a": "1"}


def test_an_archive_that_is_not_reached_is_an_error(root: Root, archive: Archive) -> None:
    pinned = archive.add("a", "1")
    sources = archive.settings / "sources.list.d" / "here.list"
    sources.write_text("deb [trusted=yes] file:/nowhere ./\n")
    assert root.pin(pinned, wanted="a\n").returncode != 0
