"""Layers compressed with zstd, by the program of that name: Python has it only since 3.14."""

from __future__ import annotations

import io
import subprocess
import threading
from contextlib import suppress
from typing import Any, BinaryIO

from engine.errors import ProcessError
from engine.oci.streams import BLOCK, LayerError, Writer
from engine.process import piped


class ZstdWriter:
    """Compresses what is written to it with the program zstd."""

    def __init__(self, target: Writer) -> None:
        self._program = _zstd()
        assert self._program.stdin and self._program.stdout
        self._input, self._output = self._program.stdin, self._program.stdout
        self._target = target
        self._failure: BaseException | None = None
        self._pump = threading.Thread(target=self._pass_on, daemon=True)
        self._pump.start()

    def _pass_on(self) -> None:
        try:
            while data := self._output.read(BLOCK):
                self._target.write(data)
        except BaseException as error:  # told in `finish`, by the thread that waits
            self._failure = error
            self._program.kill()

    def write(self, data: bytes) -> int:
        """Take `data`."""
        try:
            self._input.write(data)
        except BrokenPipeError:
            self.finish()
        return len(data)

    def finish(self) -> None:
        """Write what is still held back; nothing can follow. Raises what the target raised."""
        with suppress(BrokenPipeError):
            self._input.close()
        self._pump.join()
        code = self._program.wait()
        if self._failure is not None:
            raise self._failure
        if code:
            raise LayerError(f"zstd failed with exit code {code}")

    def close(self) -> None:
        """End the program, if it still runs."""
        _end(self._program)
        self._pump.join()


class ZstdReader(io.RawIOBase):
    """What the program zstd makes of `source`, which nobody else may read meanwhile."""

    def __init__(self, source: BinaryIO) -> None:
        self._program = _zstd("-d")
        assert self._program.stdin and self._program.stdout
        self._input, self._output = self._program.stdin, self._program.stdout
        self._source = source
        self._failure: BaseException | None = None
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        try:
            while data := self._source.read(BLOCK):
                self._input.write(data)
            self._input.close()
        except BrokenPipeError:
            pass  # the program has found a fault, and says so by its exit code
        except BaseException as error:  # told in `readinto`, by the thread that reads
            self._failure = error
            self._program.kill()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, as io.RawIOBase defines it."""
        data = self._output.read(len(buffer))
        buffer[: len(data)] = data
        if not data:
            self._feeder.join()
            code = self._program.wait()
            if self._failure is not None:
                raise self._failure
            if code:
                raise LayerError("this is no layer, or a damaged one: zstd cannot read it")
        return len(data)

    def close(self) -> None:
        """End the program, if it still runs."""
        if not self.closed:
            _end(self._program)
            self._feeder.join()
        super().close()


def _zstd(*options: str) -> subprocess.Popen[bytes]:
    try:
        return piped("zstd", "-q", "-c", *options)
    except ProcessError as error:
        raise LayerError(f"a layer of zstd needs the program zstd: {error}") from None


def _end(program: subprocess.Popen[bytes]) -> None:
    program.kill()
    for pipe in (program.stdin, program.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    program.wait()
