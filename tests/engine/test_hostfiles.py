"""Folders of the machine: what a container sees of them after any change, and at any place."""

from __future__ import annotations

import os
import random
import shutil
import stat
import uuid
from pathlib import Path

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

# A line for each entry: path, kind and mode, contents.
LIST = """
cd "$1"
find . -mindepth 1 | sort | while read -r path; do
  if [ -L "$path" ]; then echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then echo "$path $(stat -c %a "$path")"
  else echo "$path $(stat -c %a "$path") $(cat "$path")"; fi
done
"""


def listed(folder: Path) -> list[str]:
    """What LIST says of a folder."""
    lines = []
    for path in folder.rglob("*"):
        name = f"./{path.relative_to(folder)}"
        mode = f"{stat.S_IMODE(path.lstat().st_mode):o}"
        if path.is_symlink():
            lines.append(f"{name} -> {path.readlink()}")
        else:
            lines.append(f"{name} {mode}" + ("" if path.is_dir() else f" {path.read_text()}"))
    return sorted(lines)


def change(folder: Path, chance: random.Random) -> None:
    """Change one thing: write, remove, replace by another kind, or change a mode."""
    path = folder / "/".join(chance.choice("abc") for _ in range(chance.randrange(1, 4)))
    for above in reversed(path.relative_to(folder).parents[:-1]):
        if (folder / above).is_symlink() or (folder / above).is_file():
            (folder / above).unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = chance.randrange(5)
    if kind == 4 and path.exists() and not path.is_symlink():
        path.chmod(0o700 if path.is_dir() else 0o640)
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if kind == 0:
        path.symlink_to("nowhere")
    elif kind == 1:
        path.mkdir()
    elif kind != 2:
        path.write_text(uuid.uuid4().hex)


async def test_container_sees_every_change_of_a_folder(dag: dagger.Client, tmp_path: Path) -> None:
    chance = random.Random(11)
    folder = tmp_path / "folder"
    for number in range(60):
        (folder / f"kept/{number}").mkdir(parents=True)
        (folder / f"kept/{number}/file").write_text(uuid.uuid4().hex)
    base = dag.container().from_("debian:bookworm-slim")
    for number in range(25):
        for _ in range(chance.randrange(4)):
            change(folder, chance)
        tree = dag.host().directory(str(folder), no_cache=True)
        for place in ("/src", "/opt/a/b")[: 1 + number % 2]:
            there = base.with_directory(place, tree)
            said = await there.with_exec(["sh", "-c", LIST, "sh", place]).stdout()
            assert sorted(said.splitlines()) == listed(folder), number


async def test_folder_over_what_is_there_leaves_the_rest(
    dag: dagger.Client, tmp_path: Path
) -> None:
    nonce = uuid.uuid4().hex
    (tmp_path / "new").write_text(nonce)
    (tmp_path / "both").write_text("new")
    below = dag.directory().with_new_file("old", "old").with_new_file("both", "old")
    base = dag.container().from_("debian:bookworm-slim").with_directory("/src", below)
    found = base.with_directory("/src", dag.host().directory(str(tmp_path))).directory("/src")
    assert await found.entries() == ["both", "new", "old"]
    assert await found.file("both").contents() == "new"


async def test_folder_below_a_link_lands_where_the_link_leads(
    dag: dagger.Client, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(uuid.uuid4().hex)
    base = dag.container().from_("debian:bookworm-slim")
    base = base.with_exec(["sh", "-c", "mkdir /real; ln -s /real /link"])
    there = base.with_directory("/link/src", dag.host().directory(str(tmp_path)))
    assert await there.directory("/real/src").entries() == ["file"]


async def test_directories_on_the_way_keep_owner_and_mode(
    dag: dagger.Client, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(uuid.uuid4().hex)
    base = dag.container().from_("debian:bookworm-slim")
    base = base.with_exec(["sh", "-c", "install -d -o 7 -g 8 -m 2750 /way"])
    there = base.with_directory("/way/below/src", dag.host().directory(str(tmp_path)))
    said = await there.with_exec(["stat", "-c", "%u %g %a %n", "/", "/way", "/way/below"]).stdout()
    assert said.splitlines() == ["0 0 755 /", "7 8 2750 /way", "0 0 755 /way/below"]


async def test_equal_trees_are_known_wherever_and_whenever_they_lie(
    dag: dagger.Client, tmp_path: Path
) -> None:
    nonce = uuid.uuid4().hex
    base = dag.container().from_("debian:bookworm-slim")
    script = "cat /proc/sys/kernel/random/uuid"
    said = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").write_text("other")
        tree = dag.host().directory(str(folder), no_cache=True)
        await tree.entries()
        (folder / "file").write_text(nonce)
        os.utime(folder / "file", (1, 1))
        tree = dag.host().directory(str(folder), no_cache=True)
        there = base.with_directory("/src", tree)
        said.append(await there.with_exec(["sh", "-c", script]).stdout())
    assert said[0] == said[1]
