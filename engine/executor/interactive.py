"""Commands that somebody talks to: a container's own, or one more in a container that runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import ExecError
from engine.executor.console import Console
from engine.executor.ending import NOT_STARTED, exit_code
from engine.executor.spec import Meta, specification
from engine.lazy import finished
from engine.process import spawn

_GRACE_SECONDS = 2.0
"""How long a command that was hung up on may take before it is killed."""


class Interactive:
    """Runs commands with terminals; `state` is where crun keeps what it knows of containers."""

    def __init__(self, folder: Path, state: Path) -> None:
        self._folder = folder
        self._folder.mkdir()
        self._state = state
        self._numbers = itertools.count()

    async def run(self, meta: Meta, rootfs: str, network: str, console: Console) -> int:
        """Run a container until its command ends; the command's exit code.

        Raises ExecError for a command that is not there, EngineError if crun itself fails.
        """
        init = shutil.which("catatonit")
        assert init is not None  # a session would not have started
        spec = specification(meta, rootfs, network, init)
        spec["process"] |= {"terminal": True, "consoleSize": console.size}
        name = f"t{next(self._numbers)}"
        bundle = self._folder / name
        bundle.mkdir(mode=0o700)
        try:
            (bundle / "config.json").write_text(json.dumps(spec))
            code = await self._crun(bundle, console, "run", f"--bundle={bundle}", name)
        finally:
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.rmtree(self._state / name, ignore_errors=True)
        if code == 1 and (match := NOT_STARTED.search(console.first)):
            why = match["why"].decode(errors="replace").lower()
            said = f'exec: "{meta.args[0]}": {why}'
            raise ExecError(said, command=list(meta.args), exit_code=-1)
        return code

    def runs(self, container: str) -> bool:
        """Whether a command can be run within a container."""
        return (self._state / container / "status").exists()

    async def run_within(self, container: str, meta: Meta, console: Console) -> int:
        """Run `meta` in a container that runs, until it ends; its exit code.

        Raises EngineError for a command that is not there.
        """
        process: dict[str, Any] = specification(replace(meta, init=False), "", "", "")["process"]
        process |= {"terminal": True, "consoleSize": console.size}
        folder = self._folder / f"t{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        try:
            file = folder / "process.json"
            file.write_text(json.dumps(process))
            return await self._crun(folder, console, "exec", f"--process={file}", container)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _crun(self, folder: Path, console: Console, verb: str, *arguments: str) -> int:
        log, pid, place = folder / "log", folder / "pid", folder / "socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
            listening.listen(1)
            listening.setblocking(False)
            process = await spawn(
                *("crun", f"--root={self._state}", "--cgroup-manager=disabled", f"--log={log}"),
                *(verb, f"--pid-file={pid}", f"--console-socket={place}", *arguments),
                output=subprocess.DEVNULL,
            )
            over = asyncio.ensure_future(process.wait())
            try:
                await console.join(listening, over)
            finally:
                await finished(_end(over, pid))
        return exit_code(over.result(), log, pid, "the terminal's command")


async def _end(over: asyncio.Future[int], pid_file: Path) -> None:
    """Wait for a command that was hung up on, and kill it if it goes on regardless."""
    await asyncio.wait([over], timeout=_GRACE_SECONDS)
    if not over.done():
        with suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        await asyncio.wait([over])
