"""The OCI runtime specification of one container."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from engine.executor import seccomp

# What Docker, and the recorded engine, give a container that asks for nothing.
CAPABILITIES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID "
    "CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE"
).split()

# In the order of their numbers, see capability.h.
_ALL_CAPABILITIES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID "
    "CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST "
    "CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO "
    "CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE "
    "CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE "
    "CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM "
    "CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE"
).split()

_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

INIT = "/dev/.init"
"""Where the init is mounted: in /dev, a tmpfs of each container, so that no layer gets a stub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something mounted in a container: a folder or file of the host, or a tmpfs."""

    target: str
    source: str | None = None
    """The path on the host; None for a tmpfs."""
    read_only: bool = False
    size: int | None = None
    """Bytes of a tmpfs at most."""

    def to_json(self) -> dict[str, Any]:
        """The mount in the form of the runtime specification."""
        if self.source is None:
            options = ["nosuid", "nodev", "mode=0755"]
            options += [] if self.size is None else [f"size={self.size}"]
            return {
                "destination": self.target,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": options,
            }
        options = ["rbind", "rprivate", "ro" if self.read_only else "rw"]
        return {
            "destination": self.target,
            "type": "bind",
            "source": self.source,
            "options": options,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What to run: arguments, environment, folder, user; and how much it may do."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    hostname: str = "brewline"
    privileged: bool = False
    init: bool = True
    mounts: tuple[Mount, ...] = field(default=())


def specification(meta: Meta, rootfs: str, network: str, init: str) -> dict[str, Any]:
    """The runtime specification for `meta` in `rootfs` and the network namespace at `network`.

    Neither resource limits nor device rules are in it: root may lack CAP_SYS_RESOURCE, and the
    engine's containers share one machine's cgroup.
    """
    wanted = _ALL_CAPABILITIES if meta.privileged else CAPABILITIES
    capabilities = [name for name in wanted if name not in _unavailable()]
    has_them = meta.privileged or meta.uid == 0
    keeps_them = meta.privileged
    args = [INIT, "--", *meta.args] if meta.init else list(meta.args)
    mounts = _standard_mounts(meta.privileged)
    if meta.init:
        mounts.append(Mount(target=INIT, source=init, read_only=True).to_json())
    linux: dict[str, Any] = {
        "namespaces": [
            {"type": "pid"},
            {"type": "ipc"},
            {"type": "uts"},
            {"type": "mount"},
            {"type": "network", "path": network},
        ],
        "rootfsPropagation": "private",
    }
    if not meta.privileged:
        linux["seccomp"] = seccomp.profile(frozenset(capabilities))
        linux["maskedPaths"] = _MASKED
        linux["readonlyPaths"] = _READ_ONLY
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {
                "uid": meta.uid,
                "gid": meta.gid,
                "additionalGids": list(meta.groups),
                "umask": 0o022,
            },
            "args": args,
            "env": [f"{name}={value}" for name, value in meta.env],
            "cwd": meta.cwd,
            "capabilities": {
                "bounding": capabilities,
                # A user that is not root starts without any, as everywhere.
                **dict.fromkeys(("effective", "permitted"), capabilities if has_them else []),
                # As in the real engine, who may do all keeps it when becoming another program.
                **dict.fromkeys(("inheritable", "ambient"), capabilities if keeps_them else []),
            },
            "noNewPrivileges": False,
        },
        "root": {"path": rootfs, "readonly": False},
        "hostname": meta.hostname,
        "mounts": mounts + [mount.to_json() for mount in meta.mounts],
        "linux": linux,
    }


@cache
def _unavailable() -> frozenset[str]:
    """The capabilities that the engine itself lacks and cannot give."""
    status = Path("/proc/self/status").read_text()
    bounding = int(status.split("CapBnd:")[1].split()[0], 16)
    return frozenset(name for bit, name in enumerate(_ALL_CAPABILITIES) if not bounding >> bit & 1)


def _standard_mounts(privileged: bool) -> list[dict[str, Any]]:
    def mount(target: str, kind: str, *options: str) -> dict[str, Any]:
        return {"destination": target, "type": kind, "source": kind, "options": list(options)}

    writable = "rw" if privileged else "ro"
    return [
        mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "gid=5"),
        mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777"),
        mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/sys", "sysfs", "nosuid", "noexec", "nodev", writable),
    ]
