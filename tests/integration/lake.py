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

_SECONDS = 300.0


def keep_page(lake: str, page: Path) -> None:
    """Write the page of a run that its data failed; of another failure there is none."""
    with suppress(PipelineError):
        opened = Lake.at(lake)
        for path in opened.files("verdict"):
            if path.endswith(".html"):
                page.write_bytes(opened.read(path))


def verify(lake: str, page: Path) -> dict[str, Any]:
    """Counts of the committed run; raises Failed when the data product finds it wrong.

    What there is to tell of its data is written to `page`.
    """
    command = [sys.executable, "-m", "pipeline", "verify", "--lake", lake, "--page", str(page)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        said = f"The lake was not verified within {_SECONDS:g} s."
        raise Failed(Cause.INFRASTRUCTURE, said) from None
    try:
        verdict = dict(json.loads(done.stdout))
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        cause = Cause.INFRASTRUCTURE if done.returncode == 3 else Cause.CODE
        raise Failed(
            cause, f"The lake could not be verified: {last[0]}", lines=tuple(last)
        ) from None
    problems = tuple(str(problem) for problem in verdict.get("problems", ()))
    if problems:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise Failed(
            Cause.CODE, f"The lake is wrong: {problems[0]}{more}", log=page.name, lines=problems
        )
    return verdict
