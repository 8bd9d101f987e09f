"""The distribution's default seccomp profile in the form of the OCI runtime specification."""

from __future__ import annotations

import json
import os
import stat
from functools import cache
from pathlib import Path
from typing import Any

_PROFILE = Path("/usr/share/containers/seccomp.json")
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_SHORT = {"x86_64": "amd64", "aarch64": "arm64"}

# The distribution's profile is made for containers in user namespaces and lets pass what Docker's
# does not. Mounts and namespaces of its own are not for a container here, and keyrings are not in
# any namespace: root's would be those of the machine. Old 32-bit programs' `socketcall` hides which
# sockets it makes; the C libraries go on to `socket`.
_REFUSED = (
    "add_key fsconfig fsmount fsopen fspick keyctl mount mount_setattr move_mount open_tree "
    "pivot_root request_key setns socketcall umount umount2 unshare"
).split()
# Their arguments are looked at below; clone3 has its own behind a pointer, so callers fall back.
_DECIDED = ["clone", "clone3", "mknod", "mknodat", "socket"]
_NEW_NAMESPACES = 0x7E020000
# To the machine's hypervisor and its other guests, past every network namespace.
_AF_VSOCK = 40
_EPERM = 1
_UNSIGNED_32 = 0xFFFFFFFF
# Major and minor of null, zero, full, random, urandom, tty, ptmx, and of a whiteout: what Docker's
# devices cgroup lets a container use. There is none here, so that no other node may be made.
_HARMLESS_DEVICES = [0x103, 0x105, 0x107, 0x108, 0x109, 0x500, 0x502, 0]


@cache
def profile(capabilities: frozenset[str]) -> dict[str, Any]:
    """The profile for a container with these capabilities.

    The file is in the form of containers/common: rules hold for some architectures and
    capabilities only, which a runtime does not know about.
    """
    source = json.loads(_PROFILE.read_text())
    native = _ARCHITECTURES[os.uname().machine]
    families = [f for f in source["archMap"] if f["architecture"] == native]
    architectures = [native] + [sub for f in families for sub in f["subArchitectures"] or []]
    rules = [_rule(rule) for rule in source["syscalls"] if _holds(rule, capabilities)]
    rules = [rule for rule in rules if rule["names"]]
    rules.append({"names": _REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM})
    rules.append(_allowed("clone", _masked(0, _NEW_NAMESPACES, 0)))
    rules.append(_allowed("socket", {"index": 0, "value": _AF_VSOCK, "op": "SCMP_CMP_NE"}))
    rules += [*_device_nodes("mknod", 1), *_device_nodes("mknodat", 2)]
    # Newer than the profile; the C library falls back without it, but slower and less exactly.
    rules.append({"names": ["fchmodat2"], "action": "SCMP_ACT_ALLOW"})
    return {
        "defaultAction": source["defaultAction"],
        "defaultErrnoRet": source.get("defaultErrnoRet", 38),
        "architectures": architectures,
        "syscalls": rules,
    }


def _holds(rule: dict[str, Any], capabilities: frozenset[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    arch = _SHORT[os.uname().machine]
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if arch in (excludes.get("arches") or []):
        return False
    if not capabilities.issuperset(includes.get("caps") or []):
        return False
    return not capabilities.intersection(excludes.get("caps") or [])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in rule["names"] if name not in _REFUSED + _DECIDED]
    made = {"names": names, "action": rule["action"]}
    if rule.get("errnoRet") is not None and rule["action"] == "SCMP_ACT_ERRNO":
        made["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        made["args"] = rule["args"]
    return made


def _device_nodes(name: str, mode: int) -> list[dict[str, Any]]:
    """Rules for a call with the mode as its argument number `mode` and the device after it."""
    kinds = (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK)
    plain = [_allowed(name, _masked(mode, 0o170000, kind)) for kind in kinds]
    character = _masked(mode, 0o170000, stat.S_IFCHR)
    harmless = [
        _allowed(name, character, _masked(mode + 1, _UNSIGNED_32, device))
        for device in _HARMLESS_DEVICES
    ]
    block = {
        "names": [name],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": _EPERM,
        "args": [_masked(mode, 0o170000, stat.S_IFBLK)],
    }
    return [*plain, *harmless, block]


def _allowed(name: str, *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
