"""Logs: which lines of one matter, and where all of them go."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What a component says when a task cannot even start; the task itself has no log then.
_TROUBLE = re.compile(
    r"invalid auth token|signature verification failed|no space left|out of memory|"
    r"could not connect|connection refused|\berror\b|\bcritical\b|exception",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The error that a task's log ends with."""

    kind: str
    summary: str
    lines: tuple[str, ...]


def last_lines(log: Path, count: int = 12) -> tuple[str, ...]:
    """The last lines of a log that are not blank; none where there is no log."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ()
    return tuple([line for line in text.splitlines() if line.strip()][-count:])


def task_trouble(log: Path) -> Trouble | None:
    """The last error of a task's log: its exception, where Airflow recorded one."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return None
    found: Trouble | None = None
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and str(record.get("level")) in {"error", "critical"}:
            found = _trouble(record)
    return found


def _trouble(record: dict[str, Any]) -> Trouble:
    kind = ""
    summary = str(record.get("event", ""))
    lines = [summary]
    for detail in record.get("error_detail") or ():
        kind = str(detail.get("exc_type", ""))
        summary = f"{kind}: {detail.get('exc_value', '')}"
        lines.append(summary)
        frames = detail.get("frames") or ()
        if frames:
            last = frames[-1]
            where = f"{last.get('filename')}:{last.get('lineno')} in {last.get('name')}"
            lines.append(f"  at {where}")
        break
    return Trouble(kind=kind, summary=summary, lines=tuple(lines))


def component_trouble(folder: Path, count: int = 6) -> tuple[str, tuple[str, ...]]:
    """The component whose log shows trouble first in order of what explains most, and its lines."""
    candidates: list[tuple[int, str, tuple[str, ...]]] = []
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        hits = [line for line in lines if _TROUBLE.search(line)]
        if hits:
            # A named cause says more than the word error.
            rank = min(_rank(line) for line in hits)
            best = [line for line in hits if _rank(line) == rank]
            candidates.append((rank, log.name, tuple(best[:count])))
    if not candidates:
        return "", ()
    _, name, found = min(candidates)
    return f"logs/components/{name}", found


def _rank(line: str) -> int:
    match = _TROUBLE.search(line)
    word = match[0].lower() if match else "error"
    return 1 if word in {"error", "critical", "exception"} else 0


def keep(sources: Iterable[tuple[Path, Path]]) -> None:
    """Copy folders of logs; one that is missing, or a file that vanishes, spoils nothing."""
    for source, target in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else ():
            if path.is_symlink() or not path.is_file() or path.name.startswith("."):
                continue
            destination = target / path.relative_to(source)
            destination.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, destination)
            except OSError:
                continue
