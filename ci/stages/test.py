"""Unit tests with coverage, and the import of every DAG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ci import execs
from ci.containers import SOURCE, development
from ci.errors import CheckFailed
from ci.execs import REPORTS, Check, Checked
from ci.sourcetree import TESTED
from ci.stage import Context, Result

# Tests of the engine run containers of their own: `selftest` has them, a container cannot.
PYTEST = Check(
    name="pytest",
    command=(
        "python",
        "-m",
        "pytest",
        *("-m", "not engine and not soak"),
        *("-p", "no:cacheprovider"),
        f"--junitxml={REPORTS}/junit.xml",
        "--cov",
        f"--cov-report=xml:{REPORTS}/coverage.xml",
        f"--cov-report=html:{REPORTS}/coverage",
    ),
)

_SHOWN = 20


async def run(context: Context) -> Result:
    """Run pytest; JUnit and coverage are exported also when a test fails."""
    container = development(context).with_directory(SOURCE, context.source(*TESTED))
    checked = await execs.confirm(context, container, PYTEST)
    if checked.exit_code != 0:
        raise CheckFailed(
            f"pytest: {closing_line(checked.output)}.", detail=_failures(checked), log=checked.log
        )
    coverage = ElementTree.parse(context.report / "coverage.xml").getroot().get("line-rate", "0")
    reason = f"{closing_line(checked.output)}, coverage {float(coverage):.0%}"
    return Result(reason=reason, cached=checked.cached)


def closing_line(output: str) -> str:
    """pytest's closing line without its rule: `2 failed, 40 passed in 3.2s`."""
    lines = [line.strip("= ") for line in output.splitlines() if line.strip("= ")]
    return lines[-1] if lines else "no output"


def _failures(checked: Checked) -> str:
    """The lines of pytest's summary that name what failed, or the end of its output."""
    lines = checked.output.splitlines()
    named = [line for line in lines if re.match(r"(FAILED|ERROR) ", line)]
    if len(named) > _SHOWN:
        return "\n".join([*named[:_SHOWN], f"… and {len(named) - _SHOWN} more"])
    return "\n".join(named or lines[-_SHOWN:])
