"""Why commands run again: units, and a true engine whose commands ran before."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from engine.explanation import NEW, SAME, Lineage, why
from engine.store import Store
from tests.engine import program


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def lineage(*contents: str) -> Lineage:
    """Steps one above the other; the last key is `top`."""
    made = Lineage()
    below = "base"
    for number, each in enumerate(contents):
        key = "top" if number == len(contents) - 1 else f"key {each}"
        made.note(key, f"step {number}", each, below)
        below = key
    return made


def test_the_first_run_is_new_and_a_lost_result_is_told(store: Store) -> None:
    steps = lineage("a", "b").of("top")
    assert why(store, ["make"], steps, {"variable A": "1"}) == [NEW]
    assert why(store, ["make"], steps, {"variable A": "1"}) == [SAME]


def test_the_lowest_step_that_changed_is_the_reason(store: Store) -> None:
    why(store, ["make"], lineage("a", "b", "c").of("top"), {})
    assert why(store, ["make"], lineage("a", "x", "y").of("top"), {}) == ["step 1"]


def test_inputs_that_changed_came_or_went_are_named(store: Store) -> None:
    steps = lineage("a").of("top")
    why(store, ["make"], steps, {"variable A": "1", "variable B": "1", "its user": ""})
    changed = {"variable A": "2", "variable C": "1", "its user": ""}
    assert why(store, ["make"], steps, changed) == ["variable A", "variable B", "variable C"]


def test_a_command_after_other_steps_is_another(store: Store) -> None:
    why(store, ["make"], lineage("a").of("top"), {})
    assert why(store, ["make"], lineage("a", "b").of("top"), {}) == [NEW]


def test_values_are_not_kept(store: Store) -> None:
    why(store, ["make"], lineage("a").of("top"), {"variable A": "hunter2"})
    assert not any(b"hunter2" in p.read_bytes() for p in store.path.rglob("*") if p.is_file())


@pytest.mark.engine
def test_a_changed_file_of_the_machine_is_named(engine_bin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    nonce = uuid.uuid4().hex
    for name in ("one", "two"):
        (folder / name).write_text(nonce)
    body = f"""
    container = debian().with_env_variable("NONCE", "{nonce}")
    container = sh(container, "true").with_directory("/src", dag.host().directory("{folder}"))
    await sh(container, "cat /src/*").sync()
    """

    def told(name: str) -> list[dict[str, Any]]:
        events = tmp_path / name
        done = program.run(body, engine_bin, {"BREWLINE_EVENTS": str(events)})
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in events.read_text().splitlines()]

    told("first")
    (folder / "two").write_text(f"{nonce} changed")
    events = told("second")
    [host] = [e for e in events if e["event"] == "host"]
    assert host["names"] == ["two"]
    below, above = (e for e in events if e["event"] == "exec")
    assert below["cached"]
    assert above["because"] == ["files copied to /src"]
