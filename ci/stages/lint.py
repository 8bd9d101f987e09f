"""Lint: Black, Flake8 and MyPy over every folder, side by side."""

from __future__ import annotations

from pathlib import Path

import anyio

from ci import execs
from ci.containers import SOURCE, development
from ci.errors import CheckFailed
from ci.execs import Check, Checked
from ci.sourcetree import CODE, CONFIGURATION, folders_with_code
from ci.stage import Context, Result


def checks(root: Path) -> tuple[Check, ...]:
    """The three tools, each over every folder that holds Python."""
    folders = folders_with_code(root)
    return (
        Check(name="black", command=("black", "--check", "--diff", "--quiet", *folders)),
        Check(name="flake8", command=("flake8", *folders)),
        Check(name="mypy", command=("mypy", "--no-color-output", *folders)),
    )


_SHOWN = 40


async def run(context: Context) -> Result:
    """Run the three, and fail with what they found; the whole output of each is an artifact."""
    # MyPy keeps no cache from run to run: one of another tree's makes it see modules as missing.
    source = context.source(*CODE, *CONFIGURATION)
    container = development(context).with_directory(SOURCE, source)
    checked: dict[str, Checked] = {}

    async def check(item: Check) -> None:
        context.say(f"{item.name} …")
        checked[item.name] = await execs.run(context, container, item)

    wanted = checks(context.root)
    async with anyio.create_task_group() as group:
        for item in wanted:
            group.start_soon(check, item)
    found = [checked[item.name] for item in wanted if checked[item.name].exit_code != 0]
    if found:
        raise _fault(found)
    return Result(cached=all(item.cached for item in checked.values()))


def _fault(found: list[Checked]) -> CheckFailed:
    names = " and ".join(item.name for item in found)
    lines = [line for item in found for line in item.output.splitlines()]
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], f"… and {len(lines) - _SHOWN} lines more"]
    return CheckFailed(f"{names} found fault.", detail="\n".join(lines), log=found[0].log)
