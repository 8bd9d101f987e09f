"""Which engine runs the graph, and why. A choice, not an implementation."""

from __future__ import annotations

import difflib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ci.errors import UsageError

FORCED = ("auto", "embedded", "dagger")

_SESSION = ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN")
_RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
_CLI = "_EXPERIMENTAL_DAGGER_CLI_BIN"
_RUNTIMES = ("docker", "podman", "nerdctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine to try: `environ` is what the SDK must find in its environment, None for unset."""

    name: str
    why: str
    version: str | None = None
    environ: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name

    def as_dict(self) -> dict[str, str | None]:
        """The engine as the report names it."""
        return {"name": self.name, "version": self.version, "why": self.why}


def validated(option: str) -> str:
    """`option` if it is a value of `--engine`; raises UsageError with the nearest one."""
    if option in FORCED or "://" in option:
        return option
    near = difflib.get_close_matches(option, FORCED, n=1)
    hint = f"did you mean {near[0]}?" if near else "give auto, embedded, dagger or a URL."
    raise UsageError(f"There is no engine {option!r}: {hint}")


def candidates(
    option: str, environ: Mapping[str, str], runtime: Callable[[], str | None]
) -> tuple[Engine, ...]:
    """Engines in the order in which they are tried; the last one must work.

    `runtime` names a container runtime that answers, or None; it is asked only when it matters.
    """
    if option == "embedded":
        return (_embedded("forced by --engine"),)
    if option == "dagger":
        return (_provisioned("forced by --engine"),)
    if "://" in option:
        return (_runner_host(option, "given by --engine"),)
    if all(name in environ for name in _SESSION):
        return (Engine(name="session", why="DAGGER_SESSION_PORT names a running session"),)
    if environ.get(_RUNNER_HOST):
        return (_runner_host(environ[_RUNNER_HOST], f"given by {_RUNNER_HOST}"),)
    if environ.get("GITHUB_ACTIONS") == "true":
        return (_provisioned("on GitHub"),)
    answering = runtime()
    if answering:
        return (
            _provisioned(f"{answering} answers"),
            _embedded(f"{answering} answers, but the Dagger engine cannot be had"),
        )
    return (_embedded("no container runtime answers"),)


def answering_runtime() -> str | None:
    """The first container runtime on this machine whose server answers within seconds."""
    return next((name for name in _RUNTIMES if shutil.which(name) and _answers(name)), None)


def _answers(name: str) -> bool:
    try:
        done = subprocess.run([name, "info"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _provisioned(why: str) -> Engine:
    return Engine(name="dagger", why=why, environ=_unset(_RUNNER_HOST, *_SESSION))


def _runner_host(url: str, why: str) -> Engine:
    environ = {**_unset(*_SESSION), _RUNNER_HOST: url}
    return Engine(name="runner host", why=f"{url}, {why}", environ=environ)


def _embedded(why: str) -> Engine:
    return Engine(name="embedded", why=why, environ=_unset(_RUNNER_HOST, _CLI, *_SESSION))


def _unset(*names: str) -> dict[str, str | None]:
    return dict.fromkeys(names)
