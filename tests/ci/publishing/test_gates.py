"""The stages that act on an image that was published: what they ask for before they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import dagger
import pytest

from ci.errors import BrewlineError, Refused, UsageError
from ci.publishing.destination import Destination
from ci.publishing.images import Published
from ci.publishing.promotion import digest_of, promote
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context, Image, Result, Status, skipped
from ci.stages import deploy, release
from ci.stages import promote as promotion
from tests.ci.publishing import COMMIT, image, untold, within
from tests.ci.publishing.test_verification import describe

PASSED = Result()


def context(
    folder: Path,
    where: Destination | None,
    *,
    branch: str | None = "main",
    dirty: bool = False,
    results: Mapping[str, Result] | None = None,
) -> Context:
    """What a stage is told, of a commit that is labelled on the image in the registry."""
    (folder / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1.2.3"\n')
    return Context(
        client=dagger.Client(),
        root=folder,
        git=Git(commit=COMMIT, branch=branch, dirty=dirty),
        settings=Settings(github=False, brewery_csv=None, smtp=None, destination=where),
        reports=folder,
        report=folder,
        say=print,
        results=results or {},
    )


def green(where: Destination, made: Published) -> dict[str, Result]:
    """The results of a run in which all went well up to here."""
    reference = f"{where.repository}@{made.digest}"
    built = Result(image=Image(reference=reference, digest=made.digest, tags=("sha-abcdef0",)))
    return {"build": built, "integration": PASSED, "security": PASSED}


@pytest.mark.parametrize(
    ("branch", "tag"),
    [("main", "latest"), ("develop", "develop-1.2.3"), ("develop/x", "develop-1.2.3")],
)
def test_the_tested_digest_gets_the_tag_of_its_branch(
    tmp_path: Path, where: Destination, published: Published, branch: str, tag: str
) -> None:
    here = context(tmp_path, where, branch=branch, results=green(where, published))
    result = anyio.run(promotion.run, here)
    assert result.reason == f"{tag} put"
    assert result.image and result.image.tags == ("sha-abcdef0", tag)
    assert within(where, lambda r: digest_of(r, tag)) == published.digest
    again = anyio.run(promotion.run, here)
    assert again.cached and again.reason == f"{tag} was there already"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"integration": skipped("left out")}, "integration did not pass in this run"),
        ({"security": Result(status=Status.FAILED)}, "security did not pass in this run"),
        ({"build": skipped("not asked for")}, "build did not pass in this run"),
        ({"build": Result(image=Image(reference="brewline:sha-abcdef0"))}, "pushed no image"),
    ],
)
def test_what_is_not_tested_gets_no_tag(
    tmp_path: Path,
    where: Destination,
    published: Published,
    changed: dict[str, Result],
    message: str,
) -> None:
    results = {**green(where, published), **changed}
    with pytest.raises(Refused, match=message):
        anyio.run(promotion.run, context(tmp_path, where, results=results))
    assert within(where, lambda r: digest_of(r, "latest")) == ""


@pytest.mark.parametrize(("branch", "dirty"), [("feature/x", False), (None, False), ("main", True)])
def test_other_branches_and_dirty_trees_move_no_tag(
    tmp_path: Path, where: Destination, published: Published, branch: str | None, dirty: bool
) -> None:
    here = context(tmp_path, where, branch=branch, dirty=dirty, results=green(where, published))
    with pytest.raises(Refused, match="moves no tag"):
        anyio.run(promotion.run, here)


def ready(where: Destination, made: Published) -> None:
    within(where, lambda r: describe(r, made))
    within(where, lambda r: promote(r, made.digest, ["latest"], untold))


def test_a_release_is_put_on_the_promoted_image_once(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    ready(where, published)
    here = context(tmp_path, where)
    result = anyio.run(release.run, here)
    assert result.reason == "v1.2.3 put"
    assert result.image and result.image.tags == ("sha-abcdef0", "v1.2.3")
    assert anyio.run(release.run, here).reason == "v1.2.3 was there already"


def test_an_image_that_was_not_promoted_is_not_released(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    with pytest.raises(Refused, match="latest is not on this commit's image"):
        anyio.run(release.run, context(tmp_path, where))
    assert within(where, lambda r: digest_of(r, "v1.2.3")) == ""


@pytest.mark.parametrize("act", [release.run, deploy.production], ids=["release", "deploy"])
def test_release_and_deploy_refuse_what_does_not_verify(
    tmp_path: Path, where: Destination, published: Published, act: object
) -> None:
    assert callable(act)
    with pytest.raises(Refused, match="is not to be trusted") as raised:
        anyio.run(act, context(tmp_path, where))
    assert raised.value.detail.splitlines() == [
        "There is no bill of materials attached.",
        "There is no provenance attached.",
    ]


def test_a_deployment_without_a_cluster_says_so_once_the_image_is_verified(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    ready(where, published)
    with pytest.raises(UsageError, match="No cluster is configured for production"):
        anyio.run(deploy.production, context(tmp_path, where))


@pytest.mark.parametrize(
    ("branch", "dirty", "registry", "error", "message"),
    [
        ("develop", False, True, Refused, "develop is not released"),
        ("main", True, True, Refused, "changes that no commit holds"),
        ("main", False, False, UsageError, "No image registry is named"),
    ],
)
def test_a_release_that_is_not_to_be_is_refused(
    tmp_path: Path,
    branch: str,
    dirty: bool,
    registry: bool,
    error: type[BrewlineError],
    message: str,
) -> None:
    where = Destination(repository="127.0.0.1:1/a") if registry else None
    with pytest.raises(error, match=message):
        anyio.run(release.run, context(tmp_path, where, branch=branch, dirty=dirty))


def test_the_wrong_commit_is_not_released(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    ready(where, published)
    here = context(tmp_path, where)
    other = replace(here, git=Git(commit=f"{COMMIT[:39]}f", branch="main", dirty=False))
    with pytest.raises(Refused) as raised:
        anyio.run(release.run, other)
    assert f"Its labels name the commit {COMMIT}" in raised.value.detail
    within(where, lambda r: image(r, "sha-abcdef0", content="moved"))
    with pytest.raises(Refused):
        anyio.run(release.run, here)
