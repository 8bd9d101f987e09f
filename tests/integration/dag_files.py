"""`python -m tests.integration.dag_files FOLDER`: every DAG file of a folder, read and judged.

Files that Airflow's safe mode would skip are read too. While they are, the process is watched: a
DAG file is parsed again and again, so that work at import costs all day long. Prints JSON as its
last line: the problems, each with the lines that explain it, and what there is of each DAG.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The owner that Airflow puts where a DAG names none.
_NOBODY = "airflow"
_FIRST = """
from airflow.sdk import dag, task
@dag()
def first():
    @task
    def nothing(): ...
    nothing()
first()
"""
_WORK = frozenset({"socket.connect", "sqlite3.connect", "subprocess.Popen", "os.system"})
_CHANGES = frozenset({"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(slots=True)
class Watch:
    """What was done to the world while `file` was being read."""

    file: str = ""
    acts: dict[str, str] = field(default_factory=dict)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear of an event, as an audit hook does; only the first of each file is kept."""
        if self.file and self.file not in self.acts and _works(event, args):
            self.acts[self.file] = f"{event} {args[0] if event == 'open' else ''}".strip()


def _works(event: str, args: tuple[Any, ...]) -> bool:
    if event != "open":
        return event in _WORK or event in _CHANGES
    path, _, flags = args
    return bool(isinstance(flags, int) and flags & _WRITING and str(path) != os.devnull)


def main(folder: Path) -> int:
    """Print what was found; 1 where there is a problem."""
    # Here, because it takes seconds, and whoever imports this module may not have it.
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.file import list_py_file_paths

    with tempfile.TemporaryDirectory() as warm:
        # What Airflow itself does for the first DAG does not count.
        (Path(warm) / "first.py").write_text(_FIRST)
        DagBag(warm)
    watch = Watch()
    sys.addaudithook(watch)
    problems: list[list[str]] = []
    known = {}
    for file in sorted(list_py_file_paths(folder, safe_mode=False)):
        watch.file = str(Path(file).relative_to(folder))
        bag = DagBag(file, safe_mode=False)
        read, watch.file = watch.file, ""
        problems += [_import_failed(read, text) for text in bag.import_errors.values()]
        if read in watch.acts:
            problems.append([f"{read} does work when it is imported: {watch.acts[read]}"])
        for dag in bag.dags.values():
            problems += [[f"{read}: DAG {dag.dag_id} {fault}"] for fault in faults(dag)]
            known[dag.dag_id] = described(dag)
    print(json.dumps({"problems": problems, "dags": known}))
    return 1 if problems else 0


def _import_failed(file: str, text: str) -> list[str]:
    lines = text.strip().splitlines() or ["no reason is given"]
    return [f"{file} cannot be imported: {lines[-1]}", *lines]


def faults(dag: Any) -> Iterator[str]:
    """What a DAG lacks that whoever has to answer for it needs; cycles are import errors."""
    if not dag.tags:
        yield "has no tags"
    if not dag.tasks:
        yield "has no tasks"
    for task in dag.tasks:
        if task.owner == _NOBODY:
            yield f"names no owner of its task {task.task_id}"
        if not task.retries:
            yield f"does not try its task {task.task_id} again"


def described(dag: Any) -> dict[str, Any]:
    """Owners, tags, and each task with its retries and what follows it."""
    return {
        "owners": sorted({task.owner for task in dag.tasks}),
        "tags": sorted(dag.tags),
        "tasks": {
            task.task_id: {"retries": task.retries, "then": sorted(task.downstream_task_ids)}
            for task in dag.tasks
        },
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
