from __future__ import annotations

import json
from pathlib import Path

from ci import explain

EVENTS = [
    {"event": "standin", "image": "debian"},
    {"event": "host", "path": "/src", "count": 3, "names": ["a", "b"]},
    {"event": "host", "path": "/one", "count": 1, "names": ["a"]},
    {"event": "host", "path": "/none", "count": 0, "names": []},
    {"event": "exec", "cached": True, "args": ["pip", "install", "a b"]},
    {
        "event": "exec",
        "cached": False,
        "args": ["sh", "-c", "long " * 50],
        "seconds": 1.25,
        "because": ["files copied to /src", "variable A"],
    },
]


def test_each_command_is_told_with_what_made_it_run(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f"{json.dumps(event)}\n" for event in EVENTS))
    said = list(explain.lines(events))
    assert said[1] == "  /src: 3 files are not what they were: a, b and 1 more"
    assert said[2] == "  /one: 1 file is not what it was: a"
    assert said[3] == "  known          pip install 'a b'"
    assert said[4].startswith("  ran    1.2 s   sh -c 'long long")
    assert said[4].endswith("…") and len(said[4]) < 120
    assert said[5].endswith("because of: files copied to /src; variable A")
    assert len(said) == 6


def test_an_engine_that_tells_nothing_is_said_to(tmp_path: Path) -> None:
    [line] = explain.lines(tmp_path / "none")
    assert "Nothing to explain" in line
