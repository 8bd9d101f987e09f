"""What keeps results from being written to the client's machine is one clear sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

Exported: TypeAlias = dagger.Directory | dagger.File | dagger.Container

EXPORTED = [
    pytest.param(lambda dag: dag.directory().with_new_file("a", "x"), id="directory"),
    pytest.param(lambda dag: dag.directory().with_new_file("a", "x").file("a"), id="file"),
    pytest.param(lambda dag: dag.container().with_rootfs(dag.directory()), id="image"),
]


@pytest.mark.parametrize("made", EXPORTED)
@pytest.mark.parametrize("path", ["/proc/x", "/sys/x/y"])
async def test_a_place_that_takes_no_files_is_named(
    dag: dagger.Client, made: Callable[[dagger.Client], Exported], path: str
) -> None:
    with pytest.raises(dagger.QueryError) as failed:
        await made(dag).export(path)
    assert str(failed.value).startswith(f"cannot write {path}: ")
    assert str(failed.value).endswith("; export to another path")
    assert "Errno" not in str(failed.value)


@pytest.mark.parametrize("made", EXPORTED)
async def test_a_file_in_the_way_is_told_and_stays(
    dag: dagger.Client, made: Callable[[dagger.Client], Exported], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / "below"
    with pytest.raises(dagger.QueryError) as failed:
        await made(dag).export(str(target))
    said = f"cannot write {target}: a file is in its way; export to another path"
    assert str(failed.value) == said
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"
