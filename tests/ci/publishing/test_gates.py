"""The stages that act on an image that was published: what they ask for before they do."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import dagger
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ci import workflow
from ci.command_line import parse
from ci.errors import BrewlineError, InfrastructureError, Refused, UsageError
from ci.publishing import push
from ci.publishing.destination import Destination, destination, require_keys
from ci.publishing.images import REVISION, Published
from ci.publishing.promotion import digest_of, promote
from ci.settings import Settings
from ci.source import Git, read_git
from ci.stage import Context, Image, Result, Status, skipped
from ci.stages import deploy, release
from ci.stages import promote as promotion
from engine.standins import STAND_IN_LABEL
from tests.ci.publishing import COMMIT, OURS, committed, git, image, untold, within
from tests.ci.publishing.test_verification import BILL, describe, made_from

PASSED = Result()
Act = Callable[[Context], Awaitable[Result]]


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
        git=Git(commit=COMMIT, branch=branch, changed="file" if dirty else None),
        settings=Settings(github=False, brewery_csv=None, smtp=None, destination=where),
        reports=folder,
        report=folder,
        say=print,
        tell=print,
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


@pytest.mark.parametrize(
    ("act", "branch", "tag"),
    [
        pytest.param(release.run, "main", "latest", id="release"),
        pytest.param(deploy.production, "main", "latest", id="production"),
        pytest.param(deploy.staging, "develop/x", "develop-1.2.3", id="staging"),
    ],
)
def test_an_image_that_was_not_promoted_is_neither_released_nor_deployed(
    tmp_path: Path, where: Destination, published: Published, act: Act, branch: str, tag: str
) -> None:
    within(where, lambda r: describe(r, published))
    within(where, lambda r: image(r, tag, content="another"))
    with pytest.raises(Refused, match=f"{tag} is not on this commit's image"):
        anyio.run(act, context(tmp_path, where, branch=branch))
    assert within(where, lambda r: digest_of(r, "v1.2.3")) == ""


@pytest.mark.parametrize("act", [release.run, deploy.production], ids=["release", "deploy"])
def test_release_and_deploy_refuse_what_does_not_verify(
    tmp_path: Path, where: Destination, published: Published, act: Act
) -> None:
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


def test_keys_that_are_no_pair_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SIGNING", "VERIFY"):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(pem)
        monkeypatch.setenv(f"BREWLINE_{name}_KEY", str(tmp_path / name))
    where = destination("localhost:1/a", os.environ)
    with pytest.raises(UsageError, match="is not the public half of BREWLINE_SIGNING_KEY"):
        require_keys(where)


@pytest.mark.parametrize("command", [["release"], ["deploy", "production"]])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BREWLINE_REGISTRY_USER", "alice", "_PASSWORD is not: set both"),
        ("BREWLINE_VERIFY_KEY", "nowhere", "which is not a file"),
        ("BREWLINE_VERIFY_KEY", __file__, "holds no public key"),
        ("BREWLINE_SIGNING_KEY", __file__, "holds no private key"),
    ],
)
def test_a_wrong_setting_is_told_and_does_not_spare_the_verification(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    name: str,
    value: str,
    message: str,
) -> None:
    for each in ("BREWLINE_REGISTRY_USER", "BREWLINE_REGISTRY_PASSWORD"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1.2.3"\n')
    options = parse([*command, "--registry", "localhost:1/a"], tmp_path)
    with pytest.raises(UsageError, match=message):
        workflow.main(options, tmp_path)
    assert not (tmp_path / "reports").exists()


def test_what_is_no_image_and_bears_our_name_is_refused(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []}).encode()
    within(where, lambda r: r.put_manifest("sha-abcdef0", kind, index))
    with pytest.raises(Refused, match="sha-abcdef0 is an index of 0 images.*Remove it first"):
        anyio.run(push.earlier, context(tmp_path, where), where)


@pytest.mark.parametrize(
    ("bill", "provenance", "complete"),
    [
        pytest.param(BILL, made_from(), True, id="with-all-that-belongs-to-it"),
        pytest.param(None, made_from(), False, id="no-bill-of-materials"),
        pytest.param({"packages": []}, made_from(), False, id="empty-bill-of-materials"),
        pytest.param(BILL, made_from("0" * 40), False, id="another-commit's-provenance"),
    ],
)
def test_what_does_not_verify_is_pushed_again(
    tmp_path: Path,
    where: Destination,
    published: Published,
    bill: dict[str, Any] | None,
    provenance: dict[str, Any],
    complete: bool,
) -> None:
    within(where, lambda r: describe(r, published, bill=bill, provenance=provenance))
    found = anyio.run(push.earlier, context(tmp_path, where), where)
    assert (found and found.digest) == (published.digest if complete else None)


def test_an_image_of_another_repository_is_pushed_again(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    here = context(tmp_path, where)
    for source, found in ((OURS, published.digest), ("https://github.com/their/fork", None)):
        here = replace(here, settings=replace(here.settings, source=source))
        image = anyio.run(push.earlier, here, where)
        assert (image and image.digest) == found


@pytest.mark.parametrize("loopback", [True, False])
def test_an_image_on_a_stand_in_is_complete_on_loopback_alone(
    tmp_path: Path, where: Destination, behind_faults: Destination, loopback: bool
) -> None:
    registry = behind_faults if loopback else where
    labels = {STAND_IN_LABEL: "python:3"}
    made = within(registry, lambda r: image(r, "sha-abcdef0", labels=labels))
    within(registry, lambda r: describe(r, made))
    found = anyio.run(push.earlier, context(tmp_path, registry), registry)
    assert bool(found) is loopback


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda tree: (tree / "new").touch(), "see new", id="file"),
        pytest.param(
            lambda tree: git(tree, "commit", "--allow-empty", "-qm", "Next"),
            "another commit or branch",
            id="commit",
        ),
        pytest.param(
            lambda tree: git(tree, "switch", "-qc", "x"), "another commit or branch", id="branch"
        ),
    ],
)
def test_the_image_of_a_tree_that_changed_meanwhile_is_not_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], message: str
) -> None:
    monkeypatch.delenv("GITHUB_REF", raising=False)
    tree = committed(tmp_path / "tree", {"file": "1"})
    where = Destination(repository="127.0.0.1:1/a")
    began = replace(context(tmp_path, where), root=tree, git=read_git(tree, {}))
    change(tree)

    with pytest.raises(Refused, match=f"changed while its image was built: .*{message}"):
        publish(began, where)


def test_an_image_that_another_run_pushed_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind_faults: Destination
) -> None:
    monkeypatch.delenv("GITHUB_REF", raising=False)
    tree = committed(tmp_path / "tree", {"file": "1"})
    here = replace(context(tmp_path, behind_faults), root=tree, git=read_git(tree, {}))
    commit = here.git.commit or ""
    tag = f"sha-{commit[:7]}"
    made = within(behind_faults, lambda r: image(r, tag, labels={REVISION: commit}))
    within(behind_faults, lambda r: describe(r, made, provenance=made_from(commit)))
    with pytest.raises(InfrastructureError, match=f"Another run pushed {tag} while .*: run again"):
        publish(here, behind_faults)


def publish(here: Context, where: Destination) -> None:
    """Come as far with an image as it takes no engine."""

    async def run() -> None:
        container, moment = dagger.Client().container(), dt.datetime.now(dt.UTC)
        await push.publish(here, where, container, document={}, started=moment)

    anyio.run(run)


def test_the_wrong_commit_is_not_released(
    tmp_path: Path, where: Destination, published: Published
) -> None:
    ready(where, published)
    here = context(tmp_path, where)
    other = replace(here, git=Git(commit=f"{COMMIT[:39]}f", branch="main"))
    with pytest.raises(Refused) as raised:
        anyio.run(release.run, other)
    assert f"Its labels name the commit {COMMIT}" in raised.value.detail
    within(where, lambda r: image(r, "sha-abcdef0", content="moved"))
    with pytest.raises(Refused):
        anyio.run(release.run, here)
