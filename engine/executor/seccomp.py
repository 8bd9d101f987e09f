"""The distribution's default seccomp profile in the form of the OCI runtime specification."""

from __future__ import annotations

import json
import platform
from functools import cache
from pathlib import Path
from typing import Any

_PROFILE = Path("/usr/share/containers/seccomp.json")
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_SHORT = {"x86_64": "amd64", "aarch64": "arm64"}


@cache
def profile(capabilities: frozenset[str]) -> dict[str, Any]:
    """The profile for a container with these capabilities.

    The file is in the form of containers/common: rules hold for some architectures and
    capabilities only, which a runtime does not know about.
    """
    source = json.loads(_PROFILE.read_text())
    native = _ARCHITECTURES[platform.machine()]
    families = [f for f in source["archMap"] if f["architecture"] == native]
    architectures = [native] + [sub for f in families for sub in f["subArchitectures"] or []]
    rules = [_rule(rule) for rule in source["syscalls"] if _holds(rule, capabilities)]
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
    arch = _SHORT[platform.machine()]
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if arch in (excludes.get("arches") or []):
        return False
    if not capabilities.issuperset(includes.get("caps") or []):
        return False
    return not capabilities.intersection(excludes.get("caps") or [])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    made = {"names": rule["names"], "action": rule["action"]}
    if rule.get("errnoRet") is not None and rule["action"] == "SCMP_ACT_ERRNO":
        made["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        made["args"] = rule["args"]
    return made
