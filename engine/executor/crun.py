"""Containers run by crun."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.executor.ending import NOT_STARTED, exit_code
from engine.executor.filters import Filters
from engine.executor.output import Output
from engine.executor.spec import Meta, specification
from engine.lazy import finished
from engine.network import Namespace
from engine.process import spawn

GRACE_SECONDS = 8.0
"""How long a command that is told to end may take before it is killed."""

_KILLED_SECONDS = 20.0
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_BLOCK = 1 << 18
_STARTING_SECONDS, _STARTING_TRIES = 0.005, 200
_JUST_BEGUN_SECONDS = 0.2


class Crun:
    """Runs containers; what it writes for them lies in `folder`, on a tmpfs of the engine's own."""

    def __init__(self, folder: Path, filters: Filters) -> None:
        self._filters = filters
        self._state = folder / "crun"
        self._bundles = folder / "bundles"
        self._state.mkdir(exist_ok=True)  # a terminal's crun may have made it
        self._bundles.mkdir()
        init = shutil.which("catatonit")
        if init is None:
            raise EngineError("catatonit is not installed")
        self._init = init
        self._program = _sealed("crun")

    async def run(
        self,
        meta: Meta,
        rootfs: str,
        namespace: Namespace,
        output: Output,
        *,
        stdin: bytes | None = None,
    ) -> int:
        """Run a container to its end and return the command's exit code.

        A cancelled wait ends the command: first TERM, then KILL after `GRACE_SECONDS`.
        Raises EngineError if crun itself fails.
        """
        name = namespace.name  # no other container has it at the same time
        bundle = self._bundles / name
        bundle.mkdir(mode=0o700)
        try:
            return await self._run(name, bundle, meta, rootfs, namespace, output, stdin)
        finally:
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.rmtree(self._state / name, ignore_errors=True)

    async def run_within(self, meta: Meta, namespace: Namespace, output: Output) -> int:
        """Run a command in the container of a network namespace and return its exit code.

        A cancelled wait kills crun; what it started ends with the container.
        """
        bundle = self._bundles / namespace.name
        while not (bundle / "pid").exists():
            await asyncio.sleep(_STARTING_SECONDS)
        process: dict[str, Any] = specification(replace(meta, init=False), "", "", "")["process"]
        (bundle / "check.json").write_text(json.dumps(process))
        running = await spawn(
            *("crun", f"--root={self._state}", "--cgroup-manager=disabled", "exec"),
            *(f"--process={bundle}/check.json", namespace.name),
            executable=self._program,
        )
        assert running.stdout is not None and running.stderr is not None
        try:
            await asyncio.gather(output.collect(running.stdout, running.stderr), running.wait())
        except BaseException:
            with suppress(ProcessLookupError):
                running.kill()
            await finished(running.wait())
            raise
        assert running.returncode is not None
        return running.returncode

    def kill(self, namespace: Namespace) -> None:
        """Kill the container in a network namespace, if there is one."""
        with suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int((self._bundles / namespace.name / "pid").read_text()), signal.SIGKILL)

    async def _run(
        self,
        name: str,
        bundle: Path,
        meta: Meta,
        rootfs: str,
        namespace: Namespace,
        output: Output,
        stdin: bytes | None,
    ) -> int:
        spec = specification(meta, rootfs, namespace.path, self._init)
        await self._filters.put_into(spec)
        (bundle / "config.json").write_text(json.dumps(spec))
        log, pid = bundle / "log", bundle / "pid"
        process = await spawn(
            *("crun", f"--root={self._state}", "--cgroup-manager=disabled", f"--log={log}", "run"),
            *("--no-new-keyring", f"--bundle={bundle}", f"--pid-file={pid}", name),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            executable=self._program,
        )
        assert process.stdout is not None and process.stderr is not None
        following = asyncio.create_task(_follow(process, namespace))
        try:
            reading = output.collect(process.stdout, process.stderr)
            await asyncio.gather(reading, _write(process.stdin, stdin), process.wait())
        except BaseException:
            await finished(_end(process, pid, namespace))
            raise
        finally:
            following.cancel()
        assert process.returncode is not None
        code = exit_code(process.returncode, log, pid, "the container")
        if code == 1:
            _explain_not_started(meta.args[0], output)
        return code


def _sealed(name: str) -> str:
    """A program's file in memory where nobody can write to it.

    crun makes such a copy of itself at each start, so that no container can get at its file, and
    starts anew from there; it sees that this has been done. What it is called is good for as long
    as this process lives.
    """
    path = shutil.which(name)
    if path is None:
        raise EngineError(f"{name} is not installed")
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(path, "rb") as source, open(fd, "wb", closefd=False) as copy:
        shutil.copyfileobj(source, copy)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return f"/proc/{os.getpid()}/fd/{fd}"


def _explain_not_started(program: str, output: Output) -> None:
    """Say why there is no such command in the words of the recorded engine."""
    match = NOT_STARTED.fullmatch(output.stderr.short())
    if match is None:
        return
    why = match["why"].decode(errors="replace").lower()
    if "/" in program or why != "no such file or directory":
        said = f"fork/exec {program}: {why}"
    else:
        said = f'exec: "{program}": executable file not found in $PATH'
    output.replace_stderr(said)


async def _write(stream: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stream is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data or b"")
        await stream.drain()
    stream.close()


async def _follow(process: asyncio.subprocess.Process, namespace: Namespace) -> None:
    """Kill a container whose crun was killed: it would live on and hold its streams open."""
    over = asyncio.Event()
    with suppress(ProcessLookupError):  # over already
        fd = os.pidfd_open(process.pid)
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
    # `process.wait()` also waits for the streams.
    while process.returncode is None:
        await asyncio.sleep(0.01)
    if process.returncode < 0:
        _kill_all(namespace)


async def _end(process: asyncio.subprocess.Process, pid_file: Path, namespace: Namespace) -> None:
    """End a container whose result nobody wants any more."""
    # Its streams are still read: a full pipe would hold up its end, and asyncio's news of it.
    streams = [_drained(s) for s in (process.stdout, process.stderr) if s is not None]
    waiting = asyncio.gather(process.wait(), *streams)
    if await _begun(process, pid_file) and await _ended_by_term(waiting, pid_file):
        return
    _kill_all(namespace)
    with suppress(ProcessLookupError):
        if not pid_file.exists():
            process.kill()
    done, _ = await asyncio.wait([waiting], timeout=_KILLED_SECONDS)
    if not done:
        waiting.cancel()
        print("a killed command does not end: the kernel waits for a device", file=sys.stderr)


async def _begun(process: asyncio.subprocess.Process, pid_file: Path) -> bool:
    """Whether there is a command that can be told; waits for crun to get so far."""
    for _ in range(_STARTING_TRIES):
        if pid_file.exists():
            return True
        if process.returncode is not None:
            break
        await asyncio.sleep(_STARTING_SECONDS)
    return False


async def _ended_by_term(waiting: asyncio.Future[Any], pid_file: Path) -> bool:
    """Whether a command ends when it is asked to."""
    # One that has only just begun may not have come to heed it: it is asked once more.
    age = time.time() - pid_file.stat().st_mtime
    times = [_JUST_BEGUN_SECONDS, GRACE_SECONDS] if age < _JUST_BEGUN_SECONDS else [GRACE_SECONDS]
    for patience in times:
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
        done, _ = await asyncio.wait([waiting], timeout=patience)
        if done:
            return True
    return False


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(_BLOCK):
        pass


def _kill_all(namespace: Namespace) -> None:
    """Kill whatever lives in a container's network namespace, which is its own."""
    inside = os.stat(namespace.path)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                its = os.stat(f"/proc/{name}/ns/net")
                if (its.st_dev, its.st_ino) == (inside.st_dev, inside.st_ino):
                    os.kill(int(name), signal.SIGKILL)
