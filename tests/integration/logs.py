"""Logs: which lines of one matter, and where all of them go."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What explains most comes first. A task that cannot even start has no log of its own, and then a
# component's log is the only one to tell.
_TROUBLE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"no space left|cannot allocate memory|out of memory",
        r"invalid auth token|password authentication failed",
        r"signature verification failed|connection refused|could not connect",
        r"\b(\w+\.)*\w*(error|exception)\b.*:|\bfatal\b|\bcritical\b",
        r"\berror\b",
    )
)
_CARETS = re.compile(r"^[\s^~]*$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The error that a log tells of: in one line, and the lines that matter."""

    summary: str
    lines: tuple[str, ...]
    kind: str = ""


def component_trouble(log: Path, count: int = 12) -> Trouble:
    """Why a component ended: the most telling of the last lines of its log."""
    lines = _read(log)[-4 * count :]
    telling = [line for line in lines if _rank(line) < len(_TROUBLE)]
    # min() keeps the first of equals: an exception is told from its last line backwards.
    summary = min(reversed(telling), key=_rank) if telling else (lines or [""])[-1]
    return Trouble(summary=summary.strip()[:500], lines=tuple(lines[-count:]))


def worst_component(folder: Path) -> tuple[Path | None, Trouble]:
    """The log below `folder` that says most about what went wrong, and what it says."""
    found: list[tuple[int, str, list[str]]] = []
    for log in sorted(folder.glob("*.log")):
        lines = list(dict.fromkeys(line.strip() for line in _read(log)))
        best = min((_rank(line) for line in lines), default=len(_TROUBLE))
        if best < len(_TROUBLE):
            found.append((best, log.name, [line for line in lines if _rank(line) == best]))
    if not found:
        return None, Trouble(summary="no log of any component says why", lines=())
    _, name, lines = min(found)
    return folder / name, Trouble(summary=lines[0][:500], lines=tuple(lines[:6]))


def lines_that_say(text: str, folder: Path) -> tuple[str, ...]:
    """Lines with `text` of all components' logs below `folder`, each once."""
    logs = sorted(folder.glob("*.log"))
    return tuple(dict.fromkeys(line.strip() for log in logs for line in _read(log) if text in line))


def task_trouble(log: Path) -> Trouble | None:
    """The last error of a task's log: its exception, where Airflow recorded one."""
    found: Trouble | None = None
    for line in _read(log):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and str(record.get("level")) in {"error", "critical"}:
            found = _recorded(record)
    return found


def last_events(log: Path, count: int = 5) -> tuple[str, ...]:
    """What a task's log said last, in words."""
    said = []
    for line in _read(log)[-count:]:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        said.append(str(record.get("event", line)) if isinstance(record, dict) else line)
    return tuple(said)


def _recorded(record: dict[str, Any]) -> Trouble:
    summary = str(record.get("event", ""))
    details = record.get("error_detail") or ()
    if not details:
        return Trouble(summary=summary, lines=(summary,))
    # The first detail is the exception itself, the others are what caused it.
    detail = details[0]
    kind = str(detail.get("exc_type", ""))
    lines = [summary, f"{kind}: {detail.get('exc_value', '')}"]
    frames = detail.get("frames") or ()
    if frames:
        last = frames[-1]
        lines.append(f"  at {last.get('filename')}:{last.get('lineno')} in {last.get('name')}")
    return Trouble(kind=kind, summary=lines[1], lines=tuple(lines))


def _read(log: Path) -> list[str]:
    """Lines that say something; none where there is no log."""
    try:
        text = _COLOUR.sub("", log.read_text(errors="replace"))
    except OSError:
        return []
    return [line for line in text.splitlines() if not _CARETS.match(line)]


def _rank(line: str) -> int:
    return next((i for i, p in enumerate(_TROUBLE) if p.search(line)), len(_TROUBLE))


def keep(sources: Iterable[tuple[Path, Path]]) -> None:
    """Copy the logs of folders; one that is missing, or a file that vanishes, spoils nothing."""
    for source, target in sources:
        for path in sorted(source.rglob("*.log")):
            if path.is_symlink() or not path.is_file():
                continue
            destination = target / path.relative_to(source)
            destination.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, destination)
            except OSError:
                continue
