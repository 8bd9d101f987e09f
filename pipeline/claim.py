"""Who writes the lake now: one run at a time, and a dead run's claim lapses by itself."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline import register
from pipeline.errors import ConflictError, PipelineError
from pipeline.lake import Lake
from pipeline.storage import storage_errors, writing_errors

__all__ = ["LAPSES_AFTER", "Claim"]

log = logging.getLogger(__name__)

CLAIM = "claim.json"
# Seconds without a renewal after which a process of another machine is taken for dead.
LAPSES_AFTER = 60.0
RENEWED_EVERY = 10.0
_FIELDS = frozenset({"holder", "token", "host", "pid", "process", "renewed_at", "released"})


@dataclass(slots=True)
class Claim:
    """The right to write a lake while the block runs; ConflictError when another has it."""

    lake: Lake
    holder: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _seen: register.Reading = field(default_factory=lambda: register.Reading(None))
    _released: threading.Event = field(default_factory=threading.Event)
    _renewer: threading.Thread | None = None

    def __enter__(self) -> Claim:
        self._seen = self._read()
        before = _content(self._seen)
        if _is_alive(before):
            raise ConflictError(
                f"{before['holder']} is writing this lake (process {before['pid']} on "
                f"{before['host']}): let it end, then run again."
            )
        if not self._write():
            raise ConflictError("Another run began to write this lake just now: run again later.")
        if not before.get("released", True):
            log.info("claim: %s died without ending, its claim is taken over", before["holder"])
            # One that only stood still may be about to commit: it must find the pointer changed.
            self.lake.fence(self.token)
        self._renewer = threading.Thread(target=self._keep_renewing, daemon=True)
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._released.set()
        if self._renewer:
            self._renewer.join()
        # A claim that cannot be released lapses, and the run's own end is what matters.
        with suppress(PipelineError, OSError):
            self._write(released=True)

    def require(self) -> None:
        """Refuse to go on when the claim was lost, as another may write this lake by now."""
        now = _content(self._read())
        if now.get("token") != self.token:
            raise ConflictError(
                f"{self.holder} stood still for so long that {now.get('holder', 'another')} took "
                "over this lake: run it again."
            )

    def _keep_renewing(self) -> None:
        while not self._released.wait(RENEWED_EVERY):
            # Storage that fails for a while may be back before the claim lapses.
            with suppress(PipelineError, OSError):
                if not self._write():
                    return

    def _read(self) -> register.Reading:
        with storage_errors(self.lake.path(CLAIM)):
            return register.read(self.lake.fs, self.lake.path(CLAIM))

    def _write(self, *, released: bool = False) -> bool:
        claim = {
            "holder": self.holder,
            "token": self.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process": _process(os.getpid()),
            "renewed_at": datetime.now(timezone.utc).isoformat(),
            "released": released,
        }
        data = json.dumps(claim).encode()
        path = self.lake.path(CLAIM)
        with writing_errors(path):
            written = register.replace(self.lake.fs, path, data, seen=self._seen)
        self._seen = written or self._seen
        return written is not None


def _content(seen: register.Reading) -> dict[str, Any]:
    """The claim that was read; nothing for one that is damaged, which nobody then holds."""
    try:
        claim = json.loads(seen.data or b"{}")
        return claim if isinstance(claim, dict) and _FIELDS <= set(claim) else {}
    except ValueError:
        return {}


def _is_alive(claim: dict[str, Any]) -> bool:
    if claim.get("released", True):
        return False
    machine = str(claim["process"]).rpartition(":")[0]
    if machine and machine == _machine():
        return bool(_process(int(claim["pid"])) == claim["process"])
    renewed = datetime.fromisoformat(str(claim["renewed_at"]))
    return (datetime.now(timezone.utc) - renewed).total_seconds() < LAPSES_AFTER


def _process(pid: int) -> str:
    """What tells a living process of this machine from every other; empty for a dead one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # Fields 3 and 22 of proc(5): the state, and when it started, since pids are used again.
    return "" if stat[0] in "ZX" else f"{_machine()}:{pid}-{stat[19]}"


def _machine() -> str:
    """This boot and pid namespace; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
