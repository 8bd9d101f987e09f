"""`--explain`: for each command of a run whether it ran or was known, and why it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ci import embedded
from engine.progress import one_line


def tell(events: Path, say: Callable[[str], None]) -> None:
    """Say the explanation, line by line."""
    for line in lines(events):
        say(line)


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
                yield f"  known          {one_line(event['args'])}"
            case "exec":
                yield f"  ran {_seconds(event):>8}   {one_line(event['args'])}"
                yield f"                 because of: {'; '.join(map(str, event['because']))}"
            case "host" if event.get("count"):
                yield f"  {event['path']}: {_files(event['count'], event['names'])}"


def _seconds(event: dict[str, Any]) -> str:
    return f"{event['seconds']:.1f} s"


def _files(count: int, names: Sequence[str]) -> str:
    rest = f" and {count - len(names)} more" if count > len(names) else ""
    are = "file is not what it was" if count == 1 else "files are not what they were"
    return f"{count} {are}: {', '.join(names)}{rest}"
