"""Pins of Debian packages, and how what is installed differs from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.packages import Package, installed, moved, pins_text, read_pins, unpinned

BASH = Package("bash", "5.2-2", "amd64", "a" * 64)
ZLIB = Package("zlib1g", "1:1.2+dfsg-1", "amd64", "b" * 64)
STATUS = """Package: bash
Status: install ok installed
Version: 5.2-2
Conffiles:
 /etc/x: 0123
Description: A shell: the
 Version: 9

Package: gone
Status: deinstall ok config-files
Version: 1

Package: zlib1g
Status: hold ok installed
Version: 1:1.3

"""


def test_pins_are_read_as_they_were_written_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "packages.txt").write_text(pins_text([ZLIB, BASH]))
    assert read_pins(tmp_path) == (BASH, ZLIB)


def test_a_recipe_without_packages_pins_none(tmp_path: Path) -> None:
    assert read_pins(tmp_path) == ()


@pytest.mark.parametrize("text", ["bash 5.2\n", "bash 5.2 amd64 00 more\n", "\n"])
def test_pins_that_nobody_can_read_are_told_with_the_cure(tmp_path: Path, text: str) -> None:
    (tmp_path / "packages.txt").write_text(text)
    with pytest.raises(EngineError, match=r"packages.txt cannot be read .*--stand-ins`$"):
        read_pins(tmp_path)


def test_what_was_taken_away_again_is_not_installed() -> None:
    assert installed(STATUS) == {"bash": "5.2-2", "zlib1g": "1:1.3"}


def test_another_version_than_the_pinned_one_is_told() -> None:
    assert moved([BASH, ZLIB], installed(STATUS)) == ["zlib1g 1:1.2+dfsg-1 -> 1:1.3"]


def test_a_pinned_package_that_is_not_there_is_no_other_version() -> None:
    assert moved([Package("perl", "5", "all", "c" * 64)], installed(STATUS)) == []


def test_what_nobody_pinned_is_told() -> None:
    assert unpinned([BASH], installed(STATUS)) == ["zlib1g 1:1.3 (not pinned)"]
