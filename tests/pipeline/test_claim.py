"""One run at a time: a living one keeps its lake, a dead one's claim lapses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pipeline import claim as claims
from pipeline.claim import Claim
from pipeline.errors import ConflictError
from pipeline.lake import Lake

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pipeline.claim import Claim
from pipeline.lake import Lake
with Claim(Lake.at(sys.argv[1]), "Run other"):
    print("held", flush=True)
    sys.stdin.read()
"""


def held(lake: str) -> subprocess.Popen[str]:
    """A process that holds the claim until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lake],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def change(lake: Lake, **fields: Any) -> None:
    lake.write_json("claim.json", lake.read_json("claim.json") | fields)


def ago(seconds: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).isoformat()


def test_a_lake_is_written_by_one_at_a_time(any_lake: Lake) -> None:
    with Claim(any_lake, "Run a") as first:
        with pytest.raises(ConflictError, match="Run a is writing this lake"):
            with Claim(any_lake, "Run b"):
                pass
        first.require()
    with Claim(any_lake, "Run b"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("at", [str, "s3://{}".format], ids=["disk", "s3"])
def test_the_claim_of_a_killed_process_lapses_at_once(
    at: Callable[[str], str], tmp_path: Path, bucket: str
) -> None:
    lake = str(tmp_path) if at is str else bucket
    process = held(lake)
    try:
        with pytest.raises(ConflictError, match=rf"Run other is writing .* {process.pid} on "):
            with Claim(Lake.at(lake), "Run a"):
                pass
        process.kill()
        # Not waited for: a zombie is as dead.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with Claim(Lake.at(lake), "Run a") as taken:
            taken.require()
    finally:
        process.kill()
        process.communicate()


def test_the_claim_of_another_machine_lapses_when_it_is_not_renewed(any_lake: Lake) -> None:
    with Claim(any_lake, "Run far"):
        pass
    change(any_lake, process="elsewhere/1:1-1", released=False, renewed_at=ago(5))
    with pytest.raises(ConflictError, match="Run far"):
        with Claim(any_lake, "Run a"):
            pass
    change(any_lake, renewed_at=ago(claims.LAPSES_AFTER + 1))
    with Claim(any_lake, "Run a"):
        pass


def test_who_lost_a_claim_is_told_and_cannot_commit(any_lake: Lake) -> None:
    any_lake.commit("good")
    slow = Claim(any_lake, "Run slow")

    def overtaken() -> None:
        # After the pointer was read, before it is changed: another machine takes over.
        slow.require()
        change(any_lake, process="elsewhere/1:1-1", renewed_at=ago(claims.LAPSES_AFTER + 1))
        with Claim(any_lake, "Run next"):
            pass

    with slow:
        with pytest.raises(ConflictError, match="Run slow stood still .* Run next took over"):
            any_lake.commit("slow", require=overtaken)
    assert any_lake.committed_runs() == ["good"]


def test_a_claim_is_renewed_while_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED_EVERY", 0.05)
    lake = Lake.at(str(tmp_path))
    with Claim(lake, "Run a") as claim:
        first = lake.read_json("claim.json")["renewed_at"]
        late = time.monotonic() + 60
        while lake.read_json("claim.json")["renewed_at"] <= first:
            assert time.monotonic() < late
        claim.require()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"released": false}'])
def test_a_damaged_claim_is_held_by_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "claim.json").write_text(text)
    with Claim(Lake.at(str(tmp_path)), "Run a") as claim:
        claim.require()


def test_a_released_claim_says_whose_it_was(tmp_path: Path) -> None:
    with Claim(Lake.at(str(tmp_path)), "Run a"):
        pass
    told = json.loads((tmp_path / "claim.json").read_text())
    assert (told["holder"], told["released"], told["pid"]) == ("Run a", True, os.getpid())
