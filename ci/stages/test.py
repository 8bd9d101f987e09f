"""Unit tests with coverage, and the import of every DAG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ci import execs
from ci.connection import last_lines
from ci.containers import SOURCE, development
from ci.errors import BrewlineError, CheckFailed, InfrastructureError
from ci.execs import REPORTS, Check, Checked
from ci.sourcetree import TESTED
from ci.stage import Context, Result

# `selftest` has the others: those of the engine run containers of their own, which a container
# cannot, and the slow ones would hold up every change.
PYTEST = Check(
    name="pytest",
    command=(
        "python",
        "-m",
        "pytest",
        *("--numprocesses=auto", "--dist=loadfile"),
        *("-m", "not engine and not slow and not soak"),
        *("-p", "no:cacheprovider"),
        f"--junitxml={REPORTS}/junit.xml",
        "--cov",
        f"--cov-report=xml:{REPORTS}/coverage.xml",
        f"--cov-report=html:{REPORTS}/coverage",
    ),
)

_SHOWN = 20
_KILLED = 128 + 9
_SUMMARY = re.compile(r"\d+ (passed|failed|error|skipped)|no tests ran")


async def run(context: Context) -> Result:
    """Run pytest; JUnit and coverage are exported also when a test fails."""
    container = development(context).with_directory(SOURCE, context.source(*TESTED))
    checked = await execs.confirm(context, container, PYTEST)
    if checked.exit_code != 0:
        raise fault(checked)
    coverage = ElementTree.parse(context.report / "coverage.xml").getroot().get("line-rate", "0")
    reason = f"{closing_line(checked.output)}, coverage {float(coverage):.0%}"
    return Result(reason=reason, cached=checked.cached)


def fault(checked: Checked) -> BrewlineError:
    """What a failed run of pytest comes to; one that was killed has no verdict on the code."""
    if checked.exit_code == _KILLED:
        return InfrastructureError(
            "pytest was killed: the machine may be short of memory.",
            detail=last_lines(checked.output, 5),
            log=checked.log,
        )
    line = closing_line(checked.output)
    if not _SUMMARY.search(line):
        line = f"it ended with exit code {checked.exit_code} before its summary"
    return CheckFailed(f"pytest: {line}.", detail=_failures(checked), log=checked.log)


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
