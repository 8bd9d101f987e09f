"""The stages of the drawing: what each needs, in which order, and which apply here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from ci.errors import UsageError
from ci.source import Git

NOT_ASKED = "not asked for"

# Of the tree, and of whether this run publishes.
Rule = Callable[[Git, bool], str | None]


def _everywhere(git: Git, publishes: bool) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage as declared; `skip` gives the reason for which it does not apply, or None.

    One that is `repeatable` changes nothing outside that a second try would change again, so that
    what the machine spoilt is tried once more.
    """

    name: str
    summary: str
    needs: tuple[str, ...] = ()
    uses_engine: bool = True
    always: bool = False
    repeatable: bool = False
    skip: Rule = _everywhere
    entry: str = ""

    @property
    def function(self) -> tuple[str, str]:
        """Module and function that do the work, by name: a plan must not import them."""
        module, _, function = (self.entry or f"{self.name}:run").partition(":")
        return f"ci.stages.{module}", function


def environment_for(branch: str | None) -> str | None:
    """Where a branch is deployed to: staging, production, or nowhere."""
    if branch == "main":
        return "production"
    if branch is not None and (branch == "develop" or branch.startswith("develop/")):
        return "staging"
    return None


def _deploys_to(environment: str) -> Rule:
    def rule(git: Git, publishes: bool) -> str | None:
        target = environment_for(git.branch)
        if target != environment:
            return f"{_branch(git)} is not deployed to {environment}"
        return f"would deploy {_branch(git)}: only `deploy {environment}` acts"

    return rule


def _promoted(git: Git, publishes: bool) -> str | None:
    if not environment_for(git.branch):
        return f"{_branch(git)} moves no tag"
    if not publishes:
        return f"would move the tag of {_branch(git)}: only `--publish` acts"
    return None


def _released(git: Git, publishes: bool) -> str | None:
    if git.branch != "main":
        return f"{_branch(git)} is not released"
    return "would release after the deployment to production: only `release` acts"


def _scheduled(git: Git, publishes: bool) -> str | None:
    return "it has a schedule of its own: only `nightly` runs it"


def _branch(git: Git) -> str:
    return f"branch {git.branch}" if git.branch else "a tree on no branch"


STAGES: tuple[Stage, ...] = (
    Stage(name="lint", summary="Black, Flake8 and MyPy over every folder", repeatable=True),
    Stage(name="test", summary="unit tests with coverage, DAG import test", repeatable=True),
    Stage(
        name="build",
        summary="the image, and checks inside it",
        needs=("lint", "test"),
        repeatable=True,
    ),
    Stage(
        name="integration",
        summary="the stack from compose.yaml, one DAG run, its lake verified",
        needs=("build",),
        repeatable=True,
    ),
    Stage(
        name="security",
        summary="Trivy and Bandit, as SARIF",
        needs=("build",),
        repeatable=True,
    ),
    Stage(
        name="promote",
        summary="the branch's tag moves to the tested image",
        needs=("integration", "security"),
        uses_engine=False,
        skip=_promoted,
    ),
    Stage(
        name="deploy-staging",
        summary="deploy develop to staging",
        needs=("promote",),
        uses_engine=False,
        skip=_deploys_to("staging"),
        entry="deploy:staging",
    ),
    Stage(
        name="deploy-production",
        summary="deploy main to production, after approval",
        needs=("promote",),
        uses_engine=False,
        skip=_deploys_to("production"),
        entry="deploy:production",
    ),
    Stage(
        name="release",
        summary="tag and publish a release",
        needs=("deploy-production",),
        uses_engine=False,
        skip=_released,
    ),
    Stage(
        name="nightly",
        summary="the scheduled test of the pipeline against the live source",
        needs=("build",),
        repeatable=True,
        skip=_scheduled,
    ),
    Stage(
        name="notify",
        summary="archive of logs and reports, email",
        needs=("deploy-staging", "release", "nightly"),
        uses_engine=False,
        always=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A stage of this run; `skip` is the reason for which it will not run, or None."""

    stage: Stage
    skip: str | None


def plan(
    git: Git,
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    publishes: bool = False,
    stages: Iterable[Stage] = STAGES,
) -> tuple[Planned, ...]:
    """Every stage in an order that respects needs, and why each runs or does not.

    Raises UsageError for a name that is no stage. A stage asked for by name is left to decide
    for itself whether it may act: its rule holds for runs of the whole graph.
    """
    ordered = in_order(stages)
    names = [stage.name for stage in ordered]
    for name in (*only, *without):
        require_known(name, names)

    def reason(stage: Stage) -> str | None:
        if stage.name in without:
            return "left out by --skip"
        if only:
            return None if stage.name in only else NOT_ASKED
        return stage.skip(git, publishes)

    return tuple(Planned(stage=stage, skip=reason(stage)) for stage in ordered)


def in_order(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Stages such that each comes after those it needs; ties keep the declared order."""
    by_name: Mapping[str, Stage] = {stage.name: stage for stage in stages}
    sorter = TopologicalSorter({name: stage.needs for name, stage in by_name.items()})
    rank = {name: depth for depth, name in enumerate(by_name)}
    sorter.prepare()
    ordered: list[Stage] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=rank.__getitem__)
        ordered.extend(by_name[name] for name in ready)
        sorter.done(*ready)
    return tuple(ordered)


def require_known(name: str, names: Collection[str], *, what: str = "stage") -> None:
    """Raise UsageError, with the nearest name, unless `name` is one of `names`."""
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
    raise UsageError(f"There is no {what} {name!r}: {hint}")
