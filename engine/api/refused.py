"""Fields and arguments of the API that this engine does not have, or that change nothing, and why.

Types that can only be reached through one of these fields need no reasons of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from engine.calls import REFUSED, REFUSED_ARGUMENTS, VOID_ARGUMENTS

_Arguments: TypeAlias = Mapping[str, Sequence[tuple[str, str, str]]]
"""Arguments by reason, each with the type and the field that it is of."""

_MODULES = "modules are not run: it serves ordinary programs"
_GPU = "graphics processors are not passed on to containers"
_NESTING = "a container gets no session of its own"
_NO_RUNTIME = "there is no container runtime here whose image store it could be"
_VOLUME = "volumes of other machines are not mounted"
_FROM_SERVICE = "registries are reached from the machine, not from services"
_LLM = "language models are not called"
_CLOUD = "it sends nothing to Dagger Cloud"

_FIELDS = {
    "Query": {
        _MODULES: "currentFunctionCall currentModule currentTypeDefs currentWorkspace error "
        "function generatedCode module moduleSource sourceMap typeDef",
        _LLM: "currentEnv env llm",
        _CLOUD: "cloud",
        _VOLUME: "sshfsVolume",
        "its store is looked after by `engine info` and `engine prune`": "engine",
    },
    "Container": {
        _GPU: "experimentalWithAllGPUs experimentalWithGPU",
        _NO_RUNTIME: "exportImage",
        _VOLUME: "withMountedVolume",
    },
    "Directory": {_MODULES: "asModule asModuleSource"},
    "Host": {_NO_RUNTIME: "containerImage"},
    "Address": {_VOLUME: "volume"},
}

_ARGUMENTS: _Arguments = {
    _NESTING: (
        ("Container", "withExec", "experimentalPrivilegedNesting"),
        ("Container", "asService", "experimentalPrivilegedNesting"),
        ("Container", "up", "experimentalPrivilegedNesting"),
        ("Container", "terminal", "experimentalPrivilegedNesting"),
        ("Container", "withDefaultTerminalCmd", "experimentalPrivilegedNesting"),
        ("Directory", "terminal", "experimentalPrivilegedNesting"),
    ),
    _FROM_SERVICE: (
        ("Container", "from", "registryService"),
        ("Container", "publish", "registryService"),
    ),
}

_VOIDS: _Arguments = {
    "variables are always expanded": (
        ("Query", "envFile", "expand"),
        ("File", "asEnvFile", "expand"),
    ),
    "a file that is named is filtered by nothing": (
        *(("Address", "file", name) for name in ("exclude", "include", "gitignore")),
        *(("File", "search", n) for n in ("globs", "paths", "skipHidden", "skipIgnored")),
    ),
}

REFUSED_VALUES = {
    ("Container", name, "forcedCompression"): ("EStarGZ", "layers are gzip, Zstd or not compressed")
    for name in ("asTarball", "export", "publish")
}
"""Values of arguments that fields refuse by themselves, and why."""

for _type, _reasons in _FIELDS.items():
    for _why, _names in _reasons.items():
        REFUSED.update({(_type, name): _why for name in _names.split()})
for _why, _arguments in _ARGUMENTS.items():
    REFUSED_ARGUMENTS.update({argument: _why for argument in _arguments})
for _why, _arguments in _VOIDS.items():
    VOID_ARGUMENTS.update({argument: _why for argument in _arguments})
