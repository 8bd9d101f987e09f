"""What the real engine's own tests ask for, and the recorded cases do not touch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

Ask = Callable[[dagger.Client, dagger.Container], Awaitable[object]]

MISSING: dict[str, tuple[Ask, str]] = {
    "the name of a directory": (
        lambda dag, base: dag.directory().directory("keep/../this").name(),
        "stat keep/../this: no such file or directory",
    ),
    "the name of a file": (
        lambda dag, base: dag.directory().file("to/file.txt").name(),
        "stat to/file.txt: no such file or directory",
    ),
    "a directory below one": (
        lambda dag, base: tree(dag, "a/f").directory("a").directory("b").entries(),
        "stat b: no such file or directory",
    ),
    "a search out of the directory": (
        lambda dag, base: tree(dag, "a/f").search("x", paths=["a/../../etc"]),
        "path cannot escape directory: a/../../etc",
    ),
}


def tree(dag: dagger.Client, *paths: str) -> dagger.Directory:
    made = dag.directory()
    for path in paths:
        made = made.with_new_file(path, f"this is {path}")
    return made


@pytest.mark.parametrize("name", MISSING)
async def test_what_is_not_there_is_called_as_it_was_asked_for(
    dag: dagger.Client, base: dagger.Container, name: str
) -> None:
    ask, message = MISSING[name]
    with pytest.raises(dagger.QueryError) as caught:
        await ask(dag, base)
    assert str(caught.value) == message


async def test_a_search_follows_links_below_its_directory(dag: dagger.Client) -> None:
    files = tree(dag, "link", "sub/etc/file").with_symlink("/etc/file", "sub/link")
    found = await files.directory("sub").search("this is", paths=["link"])
    assert [await each.file_path() for each in found] == ["etc/file"]
    found = await files.search("this is link", paths=["/sub/../"])
    assert [await each.file_path() for each in found] == ["./link"]


async def test_no_path_is_the_working_directory(base: dagger.Container) -> None:
    made = base.with_workdir("/w").with_new_file("a/f", "").with_new_file("g", "")
    assert await made.without_directory("").with_exec(["find", "/w"]).stdout() == "/w\n"


async def test_an_image_archive_is_for_its_owner_alone(
    base: dagger.Container, tmp_path: Path
) -> None:
    await base.export(f"{tmp_path}/exported.tar")
    await base.as_tarball().export(f"{tmp_path}/tarball.tar")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_all_capabilities_are_kept_by_any_user(base: dagger.Container) -> None:
    look = ["sh", "-c", "grep '^Cap' /proc/self/status | cut -f 2 | sort -u | wc -l"]
    made = base.with_user("nobody").with_exec(look, insecure_root_capabilities=True)
    assert await made.stdout() == "1\n"


async def test_streams_are_those_of_mounts_too(dag: dagger.Client, base: dagger.Container) -> None:
    secret = dag.set_secret("the input", "a long value")
    user = base.with_exec(["useradd", "-u", "1234", "auser"]).with_user("auser")
    made = user.with_mounted_secret("/m/secret", secret).with_mounted_cache(
        "/cache", dag.cache_volume("of redirected streams")
    )
    upper = ["tr", "a-z", "A-Z"]
    written = made.with_exec(upper, redirect_stdin="/m/secret", redirect_stdout="/m/out")
    assert await written.file("/m/out").contents() == "A LONG VALUE"
    look = written.with_user("root").with_exec(["stat", "-c", "%a %U", "/m/out"])
    assert await look.stdout() == "600 auser\n"
    cached = made.with_exec(["echo", "kept"], redirect_stdout="/cache/out")
    assert await cached.with_exec(["cat", "/cache/out"]).stdout() == "kept\n"


async def test_a_secret_lies_over_a_file_of_its_place(
    dag: dagger.Client, base: dagger.Container
) -> None:
    secret = dag.set_secret("over a file", "hidden value")
    made = base.with_mounted_secret("/s", secret).with_mounted_file("/s", dag.file("f", "seen"))
    assert await made.with_exec(["sh", "-c", "wc -c < /s"]).stdout() == "12\n"
    assert await made.file("/s").contents() == "seen"


async def test_a_secret_may_be_any_bytes(
    dag: dagger.Client, base: dagger.Container, tmp_path: Path
) -> None:
    data = os.urandom(512_000) + b"\xff"
    (tmp_path / "key").write_bytes(data[-512_000:])
    secret = dag.secret(f"file://{tmp_path}/key")
    made = base.with_mounted_secret("/key", secret).with_exec(["sha256sum", "/key"])
    assert (await made.stdout()).split()[0] == hashlib.sha256(data[-512_000:]).hexdigest()
    assert (await secret.plaintext()).endswith("\N{REPLACEMENT CHARACTER}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    rules = {"": "*.md\nsub/g.txt\nout/*\n!out/kept\n", "sub": "local\n"}
    files = "a.md", "a.txt", "sub/a.md", "sub/g.txt", "sub/h", "sub/local", "out/kept", "out/gone"
    for path in (".git/HEAD", "ignored/x", *files):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    for folder, text in rules.items():
        (tmp_path / folder / ".gitignore").write_text(text)
    return tmp_path


async def test_a_folder_has_the_rules_of_its_repository(
    dag: dagger.Client, repository: Path
) -> None:
    folder = dag.host().directory(f"{repository}/sub", gitignore=True)
    assert await folder.entries() == [".gitignore", "h"]
    (repository / ".gitignore").write_text("ignored/\n")
    with pytest.raises(dagger.QueryError, match="^ignored: no such file or directory"):
        await dag.host().directory(f"{repository}/ignored", gitignore=True).entries()


async def test_files_of_an_ignored_folder_come_back(dag: dagger.Client, repository: Path) -> None:
    (repository / ".gitignore").write_text("out/\n!out/kept\n")
    whole = dag.host().directory(str(repository), gitignore=True)
    assert await whole.glob("out/**") == ["out/kept"]
    copied = dag.host().directory(str(repository), no_cache=True).filter(gitignore=True)
    assert await copied.glob("out/**") == ["out/kept"]
