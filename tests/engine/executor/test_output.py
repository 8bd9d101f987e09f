"""What is kept of a command's output: all of it, apart and together, and little in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.executor.output import Output, Stream, _whole_characters, text

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Path]:
    """Makes the folder that long streams go to."""

    def make() -> Path:
        made = tmp_path / "output"
        made.mkdir()
        return made

    return make


async def collected(output: Output, out: list[bytes], err: list[bytes]) -> Output:
    streams = []
    for writes in (out, err):
        stream = asyncio.StreamReader()
        for write in writes:
            stream.feed_data(write)
        stream.feed_eof()
        streams.append(stream)
    await output.collect(*streams)
    return output


def whole(stream: Stream, tmp_path: Path) -> bytes:
    copy = tmp_path / "copy"
    with copy.open("wb") as file:
        stream.copy_to(file.fileno())
    return copy.read_bytes()


async def test_streams_are_kept_apart_and_together(folder: Callable[[], Path]) -> None:
    output = await collected(Output([b"pw"], folder), [b"out pw\n"], [b"err pw\n"])
    assert output.stdout.short() == b"out ***\n"
    assert output.stderr.short() == b"err ***\n"
    assert sorted(output.combined.short().splitlines()) == [b"err ***", b"out ***"]
    assert output.folder is None


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
async def test_output_of_any_length_is_whole(
    size: int, folder: Callable[[], Path], tmp_path: Path
) -> None:
    data = os.urandom(size)
    blocks = [data[at : at + 4096] for at in range(0, size, 4096)]
    output = await collected(Output([], folder), blocks, [b"err"])
    assert output.stdout.size == size
    assert whole(output.stdout, tmp_path) == data
    assert sorted(whole(output.combined, tmp_path)) == sorted(data + b"err")
    output.close()
    assert not (tmp_path / "output").exists()


async def test_secret_does_not_reach_the_file(folder: Callable[[], Path], tmp_path: Path) -> None:
    lines = [b"a correct ", b"horse b\n"] * 20_000
    output = await collected(Output([b"correct horse"], folder), lines, [])
    assert output.folder is not None
    assert {line for line in whole(output.stdout, tmp_path).splitlines()} == {b"a *** b"}


async def test_secret_is_not_in_what_a_command_is_made_to_have_said(
    folder: Callable[[], Path],
) -> None:
    output = await collected(Output([b"hunter22"], folder), [], [b"raw"])
    output.replace_stderr('exec: "hunter22": not found')
    assert output.stderr.tail() == output.combined.tail() == 'exec: "***": not found'


async def test_long_output_of_one_stream_is_on_disk_once(folder: Callable[[], Path]) -> None:
    output = await collected(Output([], folder), [b"x" * 200_000], [])
    assert output.folder is not None
    assert os.listdir(output.folder) == ["stdout"]
    assert output.streams == (output.stdout, output.stderr, output.stdout)


async def test_two_streams_written_at_once_are_not_mixed_up(
    folder: Callable[[], Path], tmp_path: Path
) -> None:
    output = Output([], folder)
    streams = asyncio.StreamReader(), asyncio.StreamReader()
    collecting = asyncio.ensure_future(output.collect(*streams))
    for number in range(300):
        for stream, name in zip(streams, ("out", "err"), strict=True):
            stream.feed_data(f"{name} {number} {'x' * 1000}\n".encode())
        await asyncio.sleep(0)
    for stream in streams:
        stream.feed_eof()
    await collecting
    lines = whole(output.combined, tmp_path).decode().splitlines()
    for name in ("out", "err"):
        mine = [int(line.split()[1]) for line in lines if line.startswith(name)]
        assert mine == list(range(300))


async def test_error_carries_the_end_and_says_what_is_left_out(
    folder: Callable[[], Path],
) -> None:
    output = await collected(Output([], folder), [b"a" * 100_000, b"b" * 100_000], [b"short"])
    tail = output.stdout.tail()
    assert tail.startswith("[omitting 97600 bytes]...aaa") and tail.endswith("bbb")
    assert len(tail) == 102_400
    assert output.stderr.tail() == "short"


async def test_only_the_end_is_kept_of_a_limited_output(folder: Callable[[], Path]) -> None:
    lines = [f"line {number}\n".encode() for number in range(1000)]
    output = await collected(Output([], folder, limit=100), lines, [])
    assert output.stdout.tail().endswith("line 999\n")
    assert len(output.stdout.short()) <= 200
    assert output.folder is None


def test_bytes_that_are_no_text_do_not_fail() -> None:
    assert text(b"caf\xe9") == "caf\ufffd"


@pytest.mark.parametrize("text", ["", "a", "é", "aé", "€", "a€", "😀", "é😀a", "\x80"])
def test_a_character_is_passed_on_whole(text: str) -> None:
    data = text.encode() if text != "\x80" else b"\x80"
    for end in range(len(data) + 1):
        whole = data[: _whole_characters(data[:end])]
        assert end - len(whole) < 4
        if text != "\x80":
            assert text.startswith(whole.decode())
            assert len(whole) >= len(data[:end].decode(errors="ignore").encode())
