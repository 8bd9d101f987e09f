"""`--explain`: for each command of a run whether it ran or was known, and why it ran."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ci import embedded

_WIDTH = 100


def lines(events: Path) -> Iterator[str]:
    """The explanation in the order of the run; events are those of the embedded engine."""
    found = list(embedded.told(events))
    if not any(event.get("event") == "exec" for event in found):
        yield "Nothing to explain: no command was asked for, or not of the embedded engine."
        return
    yield "What ran, and why:"
    for event in found:
        match event.get("event"):
            case "exec" if event.get("cached"):
                yield f"  known          {_command(event)}"
            case "exec":
                yield f"  ran {_seconds(event):>8}   {_command(event)}"
                yield f"                 because of: {'; '.join(map(str, event['because']))}"
            case "host" if event.get("count"):
                yield f"  {event['path']}: {_files(event['count'], event['names'])}"


def _seconds(event: dict[str, Any]) -> str:
    return f"{event['seconds']:.1f} s"


def _command(event: dict[str, Any]) -> str:
    line = " ".join(shlex.join(event["args"]).split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _files(count: int, names: Sequence[str]) -> str:
    rest = f" and {count - len(names)} more" if count > len(names) else ""
    are = "file is not what it was" if count == 1 else "files are not what they were"
    return f"{count} {are}: {', '.join(names)}{rest}"
