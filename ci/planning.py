"""`plan`: what would run here and why, told without an engine and without running anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ci.command_line import Options
from ci.graph import Planned, plan
from ci.publishing.destination import acts
from ci.source import Git, read_git


def main(options: Options, root: Path) -> int:
    """Print the plan, as lines or as JSON."""
    git = read_git(root, os.environ)
    publishes = acts(options.publish, os.environ)
    planned = plan(git, only=options.only, without=options.skip, publishes=publishes)
    print(json.dumps(as_dict(git, planned), indent=2) if options.json else as_text(git, planned))
    return 0


def as_dict(git: Git, planned: tuple[Planned, ...]) -> dict[str, object]:
    """The plan for a program."""
    return {
        "commit": git.commit,
        "branch": git.branch,
        "dirty": git.dirty,
        "stages": [
            {
                "name": item.stage.name,
                "summary": item.stage.summary,
                "needs": list(item.stage.needs),
                "runs": item.skip is None,
                "reason": item.skip or why(item),
            }
            for item in planned
        ],
    }


def as_text(git: Git, planned: tuple[Planned, ...]) -> str:
    """The plan for a person."""
    commit = git.commit[:7] if git.commit else "no commit"
    where = git.branch or "no branch"
    lines = [f"{commit} on {where}{', with changes not committed' if git.dirty else ''}"]
    for item in planned:
        verb = "skip" if item.skip else "run "
        lines.append(f"  {verb}  {item.stage.name:<18} {item.skip or why(item)}")
    return "\n".join(lines)


def why(item: Planned) -> str:
    """Why a stage runs, and when."""
    if item.stage.always:
        return "always, last"
    needs = item.stage.needs
    return f"after {' and '.join(needs)}" if needs else "at once"
