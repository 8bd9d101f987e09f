"""Why a command runs although it ran before: which of its inputs are not what they were.

What a command's files are made of is noted as they are made; what it ran with is remembered by the
command and the kinds of steps below it, so that two runs of one step of a pipeline find each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.store import Store, digest

_MOST_STEPS = 200
NEW = "it has not run with these steps before"
SAME = "its result was not kept: it failed, or it was pruned"


class Step(NamedTuple):
    """How a file system came to be from the one below: what was done, and with what."""

    what: str
    contents: str
    below: str


class Lineage:
    """The steps that led to the file systems of a session, by their keys."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def note(self, key: str, what: str, contents: str, below: str) -> None:
        """Note that `key` stands for the files of `below` after a step."""
        if key != below:
            self._steps.setdefault(key, Step(what, contents, below))

    def of(self, key: str) -> list[Step]:
        """The steps that led to `key`, the first one first."""
        found: list[Step] = []
        while (step := self._steps.get(key)) is not None and len(found) < _MOST_STEPS:
            found.append(step)
            key = step.below
        return [Step("the image or folder below", key, ""), *reversed(found)]


def why(
    store: Store, command: Sequence[str], steps: Sequence[Step], inputs: Mapping[str, object]
) -> list[str]:
    """What is different from the last run of `command`, which this one becomes."""
    name = digest("explanation", list(command), [step.what for step in steps])
    now = {
        "steps": [digest(step.contents) for step in steps],
        "inputs": {each: digest(value) for each, value in inputs.items()},
    }
    last = store.recall(name)
    if last == now:
        return [SAME]
    store.remember(name, now)
    if last is None:
        return [NEW]
    pairs = zip(steps, last["steps"], now["steps"], strict=True)
    # What lies above the first step that changed is made anew because of it.
    changed = [step.what for step, old, new in pairs if old != new]
    before, after = last["inputs"], now["inputs"]
    assert isinstance(after, dict)
    names = sorted(each for each in {*before, *after} if before.get(each) != after.get(each))
    return [*changed[:1], *names]
