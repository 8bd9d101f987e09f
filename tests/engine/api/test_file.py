"""What the recorded cases do not touch of File."""

from __future__ import annotations

from pathlib import Path

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

TEXT = "one\ntwo\f\ntwo three\nfour"


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        pytest.param(None, 2, "one\ntwo\f\n", id="the first two"),
        pytest.param(2, None, "two three\nfour", id="after the second"),
        pytest.param(1, 1, "two\f\n", id="one in the middle"),
        pytest.param(9, 1, "", id="behind the end"),
        pytest.param(None, 0, "", id="none"),
        pytest.param(-1, -1, TEXT, id="below nothing"),
    ],
)
async def test_contents_can_be_read_by_lines(
    dag: dagger.Client, offset: int | None, limit: int | None, expected: str
) -> None:
    file = dag.file("f", TEXT)
    assert await file.contents(offset_lines=offset, limit_lines=limit) == expected


@pytest.mark.parametrize("options", [{}, {"limit_lines": 2}], ids=["whole", "by lines"])
async def test_contents_are_bounded(
    base: dagger.Container, tmp_path: Path, options: dict[str, int]
) -> None:
    size = (128 << 20) + 1
    file = base.with_exec(["truncate", "-s", str(size), "/big"]).file("/big")
    with pytest.raises(dagger.QueryError, match=f"file size {size} exceeds limit {size - 1}"):
        await file.contents(**options)
    await file.export(str(tmp_path / "big"))
    assert (tmp_path / "big").stat().st_size == size


async def test_the_only_occurrence_is_replaced(dag: dagger.Client) -> None:
    assert await dag.file("f", TEXT).with_replaced("one", "1").contents() == "1" + TEXT[3:]


async def test_several_occurrences_need_a_choice(dag: dagger.Client) -> None:
    file = dag.file("f", TEXT)
    with pytest.raises(dagger.QueryError, match=r"times: line 2 \(0-3\), line 3 \(0-3\)"):
        await file.with_replaced("two", "2").contents()
    assert await file.with_replaced("two", "2", all=True).contents() == TEXT.replace("two", "2")
    from_third = file.with_replaced("two", "2", first_from=3)
    assert await from_third.contents() == "one\ntwo\f\n2 three\nfour"


@pytest.mark.parametrize("search", ["five", ""])
async def test_what_is_not_there_cannot_be_replaced(dag: dagger.Client, search: str) -> None:
    with pytest.raises(dagger.QueryError, match="search string"):
        await dag.file("f", TEXT).with_replaced(search, "5").contents()


async def test_to_replace_all_of_nothing_is_fine(dag: dagger.Client) -> None:
    assert await dag.file("f", TEXT).with_replaced("five", "5", all=True).contents() == TEXT
    late = dag.file("f", TEXT).with_replaced("two", "2", all=True, first_from=9)
    assert await late.contents() == TEXT


async def test_replacing_keeps_mode_owner_and_other_bytes(base: dagger.Container) -> None:
    made = base.with_exec(["sh", "-c", "printf 'a\\377b' > /f; chmod 750 /f; chown 7:8 /f"])
    file = made.file("/f").with_replaced("b", "c")
    look = base.with_file("/g", file).with_exec(["sh", "-c", "od -An -c /g; stat -c %a:%u:%g /g"])
    assert (await look.stdout()).split() == ["a", "377", "c", "750:7:8"]


async def test_a_file_under_another_name_keeps_its_contents(dag: dagger.Client) -> None:
    renamed = dag.file("f", "x").with_name("g")
    assert await renamed.name() == "g"
    assert await dag.directory().with_file("d/", renamed).glob("**") == ["d/", "d/g"]
    with pytest.raises(dagger.QueryError, match='"a/b" must not contain a directory'):
        await dag.file("f", "x").with_name("a/b").name()


async def test_search_options_reach_the_search(dag: dagger.Client) -> None:
    [found] = await dag.file("f", TEXT).search("two.*four", multiline=True, dotall=True)
    assert [await found.line_number(), await found.matched_lines()] == [2, TEXT[4:]]
    [found] = await dag.file("f", TEXT).search("two", files_only=True)
    assert [await found.file_path(), await found.matched_lines()] == ["f", ""]
