"""The services of the stack as their marks tell: started, healthy, ended, blocked."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tests.integration.logs import component_trouble
from tests.integration.verdict import Cause, Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A service of the stack; a job has to end with success, another must not end.

    The source stands for the world outside: when it fails, that is upstream's.
    """

    name: str
    job: bool = False
    healthcheck: bool = False
    source: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The folder that the services share, and the services it is about, dependencies first."""

    folder: Path
    components: tuple[Component, ...]

    @classmethod
    def from_json(cls, folder: Path, text: str) -> Stack:
        """The stack whose services `text` lists."""
        components = tuple(Component(**entry) for entry in json.loads(text))
        return cls(folder=folder, components=components)

    def mark(self, component: Component, kind: str) -> str | None:
        """What a mark says, or None while it is not there."""
        try:
            return (self.folder / f"{component.name}.{kind}").read_text().strip()
        except FileNotFoundError:
            return None

    def check(self) -> None:
        """Raise Failed for the first service that ended, did not start or never became healthy."""
        for component in self.components:
            problem = self._problem(component)
            if problem is not None:
                raise self._failed(component, problem)

    def wait_ready(self, limit: float) -> dict[str, float]:
        """Seconds until each service was ready; raises Failed when one ends or the limit passes."""
        began = time.monotonic()
        ready: dict[str, float] = {}
        while len(ready) < len(self.components):
            self.check()
            for component in self.components:
                if component.name not in ready and self._ready(component):
                    ready[component.name] = round(time.monotonic() - began, 2)
            late = [c for c in self.components if c.name not in ready]
            if late and time.monotonic() - began > limit:
                raise self._failed(late[0], f"was not ready after {limit:g} s")
            time.sleep(0.05)
        return ready

    def states(self) -> dict[str, dict[str, str]]:
        """All marks of all services, for the record."""
        kinds = ("started", "healthy", "unhealthy", "exit", "blocked", "health")
        return {
            component.name: {
                kind: text for kind in kinds if (text := self.mark(component, kind)) is not None
            }
            for component in self.components
        }

    def _ready(self, component: Component) -> bool:
        if component.job:
            return self.mark(component, "exit") == "0"
        return self.mark(component, "healthy" if component.healthcheck else "started") is not None

    def _problem(self, component: Component) -> str | None:
        status = self.mark(component, "exit")
        if status is not None and not (component.job and status == "0"):
            return _ended(status)
        if (blocker := self.mark(component, "blocked")) is not None:
            return f"could not start ({blocker})"
        if self.mark(component, "unhealthy") is not None:
            return f"is unhealthy ({self.mark(component, 'health') or 'its check says nothing'})"
        return None

    def _failed(self, component: Component, problem: str) -> Failed:
        trouble = component_trouble(self.folder / f"{component.name}.log")
        # What was killed had no time to say why: its last lines are of other matters.
        says_why = trouble.summary and not problem.startswith("was killed")
        why = f": {trouble.summary}" if says_why else "."
        return Failed(
            Cause.UPSTREAM if component.source else Cause.INFRASTRUCTURE,
            f"{component.name} {problem}{why}",
            log=f"logs/components/{component.name}.log",
            lines=trouble.lines,
        )


def _ended(status: str) -> str:
    """A shell tells of a signal by a status of 128 and its number."""
    number = int(status) if status.isdecimal() else 0
    return f"was killed by signal {number - 128}" if number > 128 else f"ended with status {status}"
