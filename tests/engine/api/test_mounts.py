"""What the recorded cases do not touch of mounts: what cache volumes hold at first, and whose."""

from __future__ import annotations

import uuid

import dagger
import pytest
from dagger import CacheSharingMode

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


def fresh() -> str:
    return f"test-{uuid.uuid4()}"


def sh(container: dagger.Container, script: str) -> dagger.Container:
    return container.with_exec(["sh", "-ec", script])


async def test_a_new_volume_holds_its_source(dag: dagger.Client, base: dagger.Container) -> None:
    volume = dag.cache_volume(fresh())
    source = dag.directory().with_new_file("d/f", "x", permissions=0o640).with_symlink("f", "d/l")
    mounted = base.with_mounted_cache("/c", volume, source=source)
    made = sh(mounted, "cat /c/d/l; stat -c ' %a' /c/d/f; echo more > /c/d/f; echo > /c/g")
    assert await made.stdout() == "x 640\n"
    # What was there is kept: the source counts once.
    again = mounted.with_env_variable("AGAIN", "1")
    assert await sh(again, "cat /c/d/f; ls /c").stdout() == "more\nd\ng\n"


async def test_another_source_is_another_volume(dag: dagger.Client, base: dagger.Container) -> None:
    volume = dag.cache_volume(fresh())

    async def listed(*names: str) -> list[str]:
        source = dag.directory()
        for name in names:
            source = source.with_new_file(name, "")
        mounted = base.with_mounted_cache("/c", volume, source=source) if names else base
        mounted = mounted if names else base.with_mounted_cache("/c", volume)
        return (await sh(mounted, "ls /c").stdout()).split()

    assert [await listed("a"), await listed("b"), await listed()] == [["a"], ["b"], []]


async def test_a_source_that_is_equal_is_the_same_volume(
    dag: dagger.Client, base: dagger.Container
) -> None:
    volume = dag.cache_volume(fresh())
    one = dag.directory().with_new_file("a", "")
    other = dag.directory().with_new_file("x/a", "").directory("x")
    await sh(base.with_mounted_cache("/c", volume, source=one), "touch /c/mark").sync()
    made = sh(base.with_mounted_cache("/c", volume, source=other), "ls /c")
    assert (await made.stdout()).split() == ["a", "mark"]


async def test_a_volume_is_owned_with_all_that_it_begins_with(
    dag: dagger.Client, base: dagger.Container
) -> None:
    source = dag.directory().with_new_file("d/f", "")
    mounted = base.with_mounted_cache(
        "/c", dag.cache_volume(fresh()), source=source, owner="nobody"
    )
    made = sh(mounted.with_user("nobody"), "echo > /c/d/f; stat -c %U /c /c/d /c/d/f")
    assert (await made.stdout()).split() == ["nobody"] * 3


async def test_a_volume_of_another_owner_is_another_one(
    dag: dagger.Client, base: dagger.Container
) -> None:
    volume = dag.cache_volume(fresh())
    await sh(base.with_mounted_cache("/c", volume), "touch /c/root").sync()
    owned = base.with_mounted_cache("/c", volume, owner="nobody")
    assert await sh(owned, "ls /c; stat -c %U /c").stdout() == "nobody\n"


async def test_a_volume_brings_its_own_settings(dag: dagger.Client, base: dagger.Container) -> None:
    source = dag.directory().with_new_file("a", "")
    volume = dag.cache_volume(
        fresh(), source=source, owner="12:34", sharing=CacheSharingMode.LOCKED
    )
    made = sh(base.with_mounted_cache("/c", volume), "stat -c %u:%g /c /c/a")
    assert (await made.stdout()).split() == ["12:34", "12:34"]


async def test_the_owner_of_a_volume_alone_is_given_by_numbers(
    dag: dagger.Client, base: dagger.Container
) -> None:
    with pytest.raises(dagger.QueryError, match="failed to parse ownership nobody"):
        await base.with_mounted_cache("/c", dag.cache_volume("x", owner="nobody")).sync()


async def test_a_missing_source_fails_the_command(
    dag: dagger.Client, base: dagger.Container
) -> None:
    source = dag.directory().directory("none")
    mounted = base.with_mounted_cache("/c", dag.cache_volume(fresh()), source=source)
    with pytest.raises(dagger.QueryError, match="none: no such file or directory"):
        await sh(mounted, "true").sync()


@pytest.mark.parametrize("path", ["none", "file"])
async def test_only_a_directory_is_mounted_as_one(
    dag: dagger.Client, base: dagger.Container, path: str
) -> None:
    source = dag.directory().with_new_file("file", "").directory(path)
    expected = {"none": "stat none: no such file", "file": "path file is a file, not a directory"}
    with pytest.raises(dagger.QueryError, match=expected[path]):
        await sh(base.with_mounted_directory("/m", source), "true").sync()


@pytest.mark.parametrize("path", ["none", "folder"])
async def test_only_a_file_is_mounted_as_one(
    dag: dagger.Client, base: dagger.Container, path: str
) -> None:
    source = dag.directory().with_new_directory("folder").file(path)
    expected = {"none": "stat /?none: no such file", "folder": "folder is a directory, not a file"}
    with pytest.raises(dagger.QueryError, match=expected[path]):
        await sh(base.with_mounted_file("/m", source), "true").sync()


async def test_a_mount_takes_the_place_of_those_below_it(
    dag: dagger.Client, base: dagger.Container
) -> None:
    secret = dag.set_secret("a name", "a long value")
    below = base.with_mounted_temp("/m/a").with_mounted_secret("/m/s", secret)
    made = below.with_mounted_temp("/mm").with_mounted_directory("/m", dag.directory())
    assert await made.mounts() == ["/mm", "/m"]
    assert await made.with_exec(["sh", "-c", "ls /m; wc -c < /m/s"]).stdout() == "s\n12\n"


async def test_a_file_takes_the_place_of_a_mount(
    dag: dagger.Client, base: dagger.Container
) -> None:
    mounted = base.with_mounted_directory("/m", dag.directory().with_new_file("f", "x"))
    made = mounted.with_new_file("/m", "file")
    assert await made.mounts() == []
    assert await made.rootfs().file("m").contents() == "file"
    assert await mounted.without_directory("/m").mounts() == []
    inside = mounted.with_directory("/m", dag.directory().with_new_file("g", "y"))
    assert await inside.mounts() == ["/m"]
    assert await inside.directory("/m").entries() == ["f", "g"]


async def test_a_new_file_goes_into_a_directory_and_in_the_place_of_a_link(
    dag: dagger.Client, base: dagger.Container
) -> None:
    made = base.with_directory("/d", dag.directory()).with_new_file("/d", "x")
    assert await made.directory("/d").entries() == ["d"]
    linked = base.with_new_file("/a", "old").with_symlink("/a", "/b").with_new_file("/b", "new")
    assert await linked.file("/a").contents() == "old"
    assert await linked.file("/b").contents() == "new"
