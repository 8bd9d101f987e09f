"""The data product's own verdict on the lake that the run wrote, and the rows it should hold."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lake import Lake
from tests.integration.verdict import Cause, Failed


def keep_page(lake: str, page: Path) -> None:
    """Write the page of a run that its data failed; of another failure there is none."""
    with suppress(PipelineError):
        opened = Lake.at(lake)
        for path in opened.files("verdict"):
            if path.endswith(".html"):
                page.write_bytes(opened.read(path))


def verify(lake: str, expected: int, page: Path) -> dict[str, Any]:
    """Counts of the committed run; raises Failed when it is not whole or not of `expected` rows.

    What there is to tell of its data is written to `page`.
    """
    command = [sys.executable, "-m", "pipeline", "verify", "--lake", lake, "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    try:
        verdict = dict(json.loads(done.stdout))
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        cause = Cause.INFRASTRUCTURE if done.returncode == 3 else Cause.CODE
        raise Failed(
            cause, f"The lake could not be verified: {last[0]}", lines=tuple(last)
        ) from None
    problems = list(verdict.get("problems", ()))
    if verdict.get("bronze_rows") != expected:
        problems.append(f"the source has {expected} rows, bronze {verdict.get('bronze_rows')}")
    if problems:
        raise Failed(
            Cause.CODE,
            f"The lake is wrong: {problems[0]}"
            + (f" ({len(problems) - 1} more)" * (len(problems) > 1)),
            log=page.name,
            lines=tuple(str(problem) for problem in problems),
        )
    return verdict
