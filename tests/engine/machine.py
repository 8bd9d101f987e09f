"""What an engine leaves on the machine: processes, mounts, networks, rules of a firewall."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one of the same number by when it started."""

    pid: int
    parent: int
    started: str
    command: str
    network: str
    """Its network namespace."""
    pids: str
    """Its process namespace."""

    @property
    def alive(self) -> bool:
        """Whether it runs: one that is dead and waits for its parent does not."""
        now = _process(self.pid)
        return now is not None and now.started == self.started


def _process(pid: int) -> Process | None:
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        network, pids = ((folder / "ns" / name).readlink().name for name in ("net", "pid"))
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), fields[19], command, network, pids)


def processes() -> list[Process]:
    """All processes that can be seen."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [found for pid in pids if (found := _process(pid)) is not None]


def family(pid: int) -> list[Process]:
    """A process and all that descend from it, parents first."""
    everyone = processes()
    found = [process for process in everyone if process.pid == pid]
    for process in found:
        found += [child for child in everyone if child.parent == process.pid]
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def survivors(before: Iterable[Process], seconds: float) -> list[str]:
    """The commands of those that still run after so many seconds."""
    wait_until(lambda: not any(process.alive for process in before), seconds)
    return [process.command for process in before if process.alive]


@dataclass(frozen=True)
class Footprint:
    """What of an engine could outlive its processes."""

    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: str
    rules: str


def footprint() -> Footprint:
    """The state of the machine, as far as engines could have changed it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    names = Path("/run/netns")
    return Footprint(
        mounts=frozenset(line for line in mounts if "overlay" in line or "brewline" in line),
        namespaces=frozenset(p.name for p in names.iterdir()) if names.exists() else frozenset(),
        links=_said("ip", "-o", "link"),
        rules=_said("iptables-save") + _said("nft", "list", "ruleset"),
    )


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    # Comments have times in them, and rules may have counters.
    return "\n".join(line.partition("[")[0] for line in lines if not line.startswith("#"))
