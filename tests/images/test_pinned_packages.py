"""The pins of the stand-ins' Debian packages: held, or told, or refused."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagger
import pytest

from ci import embedded
from engine.packages import Package, moved, pins_text, read_pins, unpinned
from tests.images.recipes import IMAGES
from tests.images.session import Ask, embedded_session

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

_TINY = "127.0.0.1:1/tiny:1"
_RECIPES = f"""
[[image]]
names = ["debian:bookworm-slim"]
bootstrap = "debian/bootstrap"

[[image]]
names = ["{_TINY}"]
dockerfile = "tiny/Dockerfile"
"""
_DOCKERFILE = """
FROM debian:bookworm-slim
RUN --mount=type=bind,from=apt,target=/run/apt --mount=type=bind,from=pins,target=/run/pins \\
    export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/tmp/apt.conf \\
    && echo 'Dir::Etc "/run/apt"; Dir::Etc::preferences "/tmp/pins";' >"$APT_CONFIG" \\
    && /run/pins/pin /run/pins/tiny \\
    && xargs apt-get install --yes --no-install-recommends </run/pins/tiny/packages.in
"""


def installed(ask: Ask, image: str) -> dict[str, str]:
    """The packages in an image, as its own dpkg tells them."""
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n"]

    async def question(client: dagger.Client) -> str:
        return await client.container().from_(image).with_exec(command).stdout()

    lines: str = ask(question)
    return dict(line.split() for line in lines.splitlines())


@pytest.mark.parametrize(
    ("image", "recipe"),
    [
        ("python:3.11-slim-bookworm", "python"),
        ("postgres:15-bookworm", "postgres"),
        ("redis:7-bookworm", "redis"),
    ],
)
def test_all_that_is_installed_is_as_it_is_pinned_or_told(
    image: str, recipe: str, tmp_path: Path
) -> None:
    with embedded_session(tmp_path) as ask:
        there = installed(ask, image)
    pins = {folder: read_pins(IMAGES / folder) for folder in ("debian", recipe)}
    others = [line for each in pins.values() for line in moved(each, there)]
    others += unpinned((pin for each in pins.values() for pin in each), there)
    told = embedded.moved_packages(tmp_path / "events.jsonl").values()
    assert sorted(others) == sorted({line for lines in told for line in lines})
    assert len(pins[recipe]) <= len(there.keys() & {pin.name for pin in pins[recipe]})


@contextlib.contextmanager
def a_recipe_that_pins(pin: Package, folder: Path) -> Iterator[Ask]:
    """A session whose recipes are the base and one that adds a single package."""
    images = folder / "images"
    shutil.copytree(IMAGES / "debian", images / "debian")
    shutil.copy(IMAGES / "pin", images / "pin")
    (images / "images.toml").write_text(_RECIPES)
    (images / "tiny").mkdir()
    (images / "tiny" / "Dockerfile").write_text(_DOCKERFILE)
    (images / "tiny" / "packages.in").write_text(f"{pin.name}\n")
    (images / "tiny" / "packages.txt").write_text(pins_text([pin]))
    with embedded_session(folder, images) as ask:
        yield ask


def test_the_newest_is_taken_for_a_version_that_is_gone_and_told_each_time(tmp_path: Path) -> None:
    gone = Package("netbase", "0.1", "all", "0" * 64)
    with a_recipe_that_pins(gone, tmp_path) as ask:
        newest = installed(ask, _TINY)["netbase"]
    events = tmp_path / "events.jsonl"
    told = {_TINY: [f"netbase 0.1 -> {newest}"]}
    assert {_TINY: embedded.moved_packages(events)[_TINY]} == told
    events.unlink()
    with embedded_session(tmp_path, tmp_path / "images") as ask:
        installed(ask, _TINY)
    assert {_TINY: embedded.moved_packages(events)[_TINY]} == told


def test_another_file_of_a_pinned_version_is_refused(tmp_path: Path) -> None:
    (true,) = (pin for pin in read_pins(IMAGES / "python") if pin.name == "netbase")
    false = Package(true.name, true.version, true.architecture, "0" * 64)
    with a_recipe_that_pins(false, tmp_path) as ask:
        with pytest.raises(dagger.QueryError) as caught:
            installed(ask, _TINY)
    assert str(caught.value).startswith(
        f"this machine could not make the stand-in {_TINY}: the archive has another file for"
        f" netbase {true.version} than the pinned one (SHA-256 {true.sha256[:12]}…, not 0000"
    )
    assert not isinstance(caught.value, dagger.ExecError)
