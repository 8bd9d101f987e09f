"""`plan`: what would run here and why, told without an engine and without running anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ci.command_line import Options
from ci.graph import Planned, plan
from ci.publishing.destination import acts, require_publishable
from ci.source import Git, read_git
from ci.tags import commit_tag, repository, require_fit
from ci.versions import read_version


def main(options: Options, root: Path) -> int:
    """Print the plan, as lines or as JSON; raises what would keep the run from publishing."""
    git = read_git(root, os.environ)
    target = ""
    if acts(options.publish, os.environ):
        require_publishable(git, os.environ)
        require_fit(git, read_version(root))  # one that is fit for no tag publishes nothing
        target = f"{repository(options.repository, os.environ)}:{commit_tag(git)}"
    planned = plan(git, only=options.only, without=options.skip, publishes=bool(target))
    if options.json:
        print(json.dumps(as_dict(git, target, planned), indent=2))
    else:
        print(as_text(git, target, planned))
    return 0


def as_dict(git: Git, target: str, planned: tuple[Planned, ...]) -> dict[str, object]:
    """The plan for a program; `target` is what is pushed, or ""."""
    return {
        "commit": git.commit,
        "branch": git.branch,
        "dirty": git.dirty,
        "publishes": target or None,
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


def as_text(git: Git, target: str, planned: tuple[Planned, ...]) -> str:
    """The plan for a person; `target` is what is pushed, or ""."""
    commit = git.commit[:7] if git.commit else "no commit"
    where = git.branch or "no branch"
    lines = [f"{commit} on {where}{', with changes not committed' if git.dirty else ''}"]
    lines.append(f"publishes {target}" if target else "publishes nothing: only `--publish` acts")
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
