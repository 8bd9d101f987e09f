"""Work in threads that ends when nobody waits for it."""

from __future__ import annotations

import asyncio
import io
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from engine.oci.layer import pack
from engine.stop import CheckedReader, CheckedWriter, Stop, Stopped, Turns, in_thread


@pytest.mark.anyio
async def test_the_result_comes_back() -> None:
    assert await in_thread(lambda stop: 3) == 3


@pytest.mark.anyio
async def test_work_of_a_cancelled_wait_ends() -> None:
    ended = threading.Event()

    def work(stop: Stop) -> None:
        try:
            stop.wait(20)
        except Stopped:
            ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await in_thread(work)
    assert await asyncio.to_thread(ended.wait, 5)


def test_a_socket_that_is_waited_for_ends_the_wait() -> None:
    ours, theirs = socket.socketpair()
    stop = Stop()
    stop.watch(ours)
    timer = threading.Timer(0.1, stop.tell)
    timer.start()
    with ours, theirs:
        ours.settimeout(20)
        assert ours.recv(1) == b""
    timer.join()


ZSTD = pytest.mark.skipif(not shutil.which("zstd"), reason="apt-get install zstd")


@pytest.mark.parametrize("compression", ["", "gzip", pytest.param("zstd", marks=ZSTD)])
def test_a_layer_is_not_packed_to_its_end(tmp_path: Path, compression: str) -> None:
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "f").write_bytes(bytes(64 << 20))
    stop = Stop()
    stop.tell()
    with pytest.raises(Stopped):
        pack(tmp_path / "upper", CheckedWriter(io.BytesIO(), stop), compression=compression)


def test_reading_ends() -> None:
    stop = Stop()
    reader = CheckedReader(io.BytesIO(b"content"), stop)
    assert reader.read(3) == b"con"
    stop.tell()
    with pytest.raises(Stopped):
        reader.read(3)


def test_turns_come_one_after_the_other() -> None:
    turns, stop = Turns(), Stop()
    with turns.turn("a", stop):
        with turns.turn("b", stop):
            pass
        threading.Timer(0.1, stop.tell).start()
        begin = time.monotonic()
        with pytest.raises(Stopped), turns.turn("a", stop):
            pytest.fail("two at once")
        assert time.monotonic() - begin < 5
    with turns.turn("a", Stop()):
        pass
