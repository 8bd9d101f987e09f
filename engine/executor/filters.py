"""Seccomp filters as crun compiles them: done once, for it takes longer than all else it does."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from engine.executor.spec import Meta, specification
from engine.kept import kept
from engine.lazy import Lazy
from engine.store import digest

_SECONDS = 20


class Filters:
    """The filter of ordinary containers, kept in the folder `keep` for engines to come."""

    def __init__(self, folder: Path, keep: Path) -> None:
        self._folder = folder / "filter"
        self._keep = keep
        self._data = Lazy(lambda: asyncio.to_thread(self._kept))

    async def put_into(self, spec: dict[str, Any]) -> None:
        """Have crun load the compiled filter in place of compiling the profile that is in `spec`.

        See run.oci.seccomp_bpf_data in crun(1): of the profile it then only asks if there is one.
        """
        profile = spec["linux"].get("seccomp")
        if profile is None:
            return
        data = await self._data.get()
        if data:
            spec["linux"]["seccomp"] = {"defaultAction": profile["defaultAction"]}
            spec["annotations"] = {"run.oci.seccomp_bpf_data": base64.b64encode(data).decode()}

    def _kept(self) -> bytes:
        init, crun = shutil.which("catatonit"), shutil.which("crun")
        assert init is not None and crun is not None  # no session starts without them
        # The command of a container that is not started must be there all the same.
        meta = Meta(args=("true",))
        spec = specification(meta, str(self._folder / "root"), "/proc/self/ns/net", init)
        status = os.stat(crun)
        key = digest(
            *(spec["linux"]["seccomp"], status.st_size, status.st_mtime_ns, os.uname().release)
        )
        try:
            return kept(self._keep / f"seccomp-{key[:16]}.bpf", lambda: self._compiled(spec))
        except (OSError, subprocess.TimeoutExpired):
            return b""  # this crun does not tell: it compiles the profile at each start

    def _compiled(self, spec: dict[str, Any]) -> bytes:
        """What crun makes of a profile. Raises OSError if this crun does not tell."""
        (self._folder / "root").mkdir(parents=True)
        (self._folder / "config.json").write_text(json.dumps(spec))
        command = ["crun", f"--root={self._folder}", "--cgroup-manager=disabled"]
        try:
            _run(*command, "create", "--no-new-keyring", f"--bundle={self._folder}", "made")
            return (self._folder / "made" / "seccomp.bpf").read_bytes()
        finally:
            _run(*command, "delete", "--force", "made")
            shutil.rmtree(self._folder)


def _run(*command: str) -> None:
    subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=False,
    )
