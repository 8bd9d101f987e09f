from __future__ import annotations

import pytest

from ci.errors import UsageError
from ci.graph import STAGES, Stage, environment_for, in_order, plan
from ci.source import Git


def git(branch: str | None) -> Git:
    return Git(commit="a" * 40, branch=branch)


def position(name: str) -> int:
    return [stage.name for stage in in_order(STAGES)].index(name)


def reasons(branch: str | None) -> dict[str, str | None]:
    return {item.stage.name: item.skip for item in plan(git(branch))}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("lint", "build"),
        ("test", "build"),
        ("build", "integration"),
        ("build", "security"),
        ("integration", "promote"),
        ("security", "promote"),
        ("promote", "deploy-staging"),
        ("promote", "deploy-production"),
        ("deploy-production", "release"),
        ("release", "notify"),
    ],
)
def test_the_order_is_that_of_the_drawing(earlier: str, later: str) -> None:
    assert position(earlier) < position(later)


def test_lint_and_tests_need_nothing_and_neither_do_the_scans_need_each_other() -> None:
    needs = {stage.name: stage.needs for stage in STAGES}
    assert needs["lint"] == needs["test"] == ()
    assert needs["integration"] == needs["security"] == ("build",)


def test_every_stage_comes_before_notify() -> None:
    assert in_order(STAGES)[-1].name == "notify"


@pytest.mark.parametrize(
    ("branch", "environment"),
    [
        pytest.param("main", "production", id="main"),
        pytest.param("develop", "staging", id="develop"),
        pytest.param("develop/cold-brew", "staging", id="below-develop"),
        pytest.param("developers", None, id="only-begins-alike"),
        pytest.param("feature/main", None, id="only-ends-alike"),
        pytest.param(None, None, id="detached"),
    ],
)
def test_the_branch_decides_where_to_deploy(branch: str | None, environment: str | None) -> None:
    assert environment_for(branch) == environment


def test_a_feature_branch_deploys_and_releases_nothing_and_says_why() -> None:
    found = reasons("feature/x")
    assert found["deploy-staging"] == "branch feature/x is not deployed to staging"
    assert found["deploy-production"] == "branch feature/x is not deployed to production"
    assert found["release"] == "branch feature/x is not released"
    assert found["promote"] == "branch feature/x moves no tag"
    assert found["lint"] is found["security"] is found["notify"] is None


def test_the_plan_of_main_says_what_it_would_deploy() -> None:
    found = reasons("main")
    assert found["deploy-production"] is not None
    assert "would deploy branch main" in found["deploy-production"]
    assert found["release"] is not None and "would release" in found["release"]


def test_tags_move_only_in_a_run_that_publishes() -> None:
    def skipped(branch: str, publishes: bool) -> str | None:
        planned = plan(git(branch), publishes=publishes)
        return next(item.skip for item in planned if item.stage.name == "promote")

    assert skipped("develop/x", True) is skipped("main", True) is None
    assert skipped("feature/x", True) == "branch feature/x moves no tag"
    assert "only `--publish` acts" in str(skipped("main", False))


def test_only_runs_what_is_named() -> None:
    planned = plan(git("main"), only=["lint"])
    assert [item.stage.name for item in planned if item.skip is None] == ["lint"]


def test_a_stage_asked_for_by_name_decides_for_itself() -> None:
    planned = plan(git("feature/x"), only=["deploy-staging"])
    assert next(item for item in planned if item.stage.name == "deploy-staging").skip is None


def test_skip_wins_over_only() -> None:
    planned = plan(git("main"), only=["lint", "test"], without=["test"])
    assert [item.stage.name for item in planned if item.skip is None] == ["lint"]


@pytest.mark.parametrize(
    ("name", "hint"), [("biuld", "did you mean build?"), ("xyzzy", "there are lint, test")]
)
def test_an_unknown_stage_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="no stage") as raised:
        plan(git("main"), only=[name])
    assert hint in raised.value.message


def test_the_order_respects_needs_declared_the_wrong_way_round() -> None:
    late, early = Stage(name="z", summary="", needs=("a",)), Stage(name="a", summary="")
    assert [stage.name for stage in in_order([late, early])] == ["a", "z"]
