from __future__ import annotations

import pytest

from ci.errors import UsageError
from ci.source import Git
from ci.tags import LONGEST, commit_tag, moving_tags, release_tag, repository, require_fit
from ci.versions import read_version
from tests.ci import ROOT

COMMIT = "abcdef0123" * 4


def tree(branch: str | None, *, commit: str | None = COMMIT, dirty: bool = False) -> Git:
    return Git(commit=commit, branch=branch, changed="file" if dirty else None)


@pytest.mark.parametrize(
    ("git", "tag"),
    [
        pytest.param(tree("main"), "sha-abcdef0", id="clean"),
        pytest.param(tree(None), "sha-abcdef0", id="detached"),
        pytest.param(tree("main", dirty=True), "sha-abcdef0-dirty", id="dirty"),
        pytest.param(tree(None, commit=None), "sha-unknown", id="no-git"),
    ],
)
def test_every_tree_has_a_tag_of_its_commit(git: Git, tag: str) -> None:
    assert commit_tag(git) == tag


@pytest.mark.parametrize(
    ("git", "tags"),
    [
        pytest.param(tree("main"), ("latest",), id="main"),
        pytest.param(tree("develop"), ("develop-1.2.3",), id="develop"),
        pytest.param(tree("develop/x/y"), ("develop-1.2.3",), id="below-develop"),
        pytest.param(tree("developer"), (), id="only-begins-alike"),
        pytest.param(tree("develop-2"), (), id="no-slash"),
        pytest.param(tree("feature/main"), (), id="ends-alike"),
        pytest.param(tree("Main"), (), id="other-case"),
        pytest.param(tree(None), (), id="no-branch"),
        pytest.param(tree("main", dirty=True), (), id="dirty-main"),
        pytest.param(tree("develop", dirty=True), (), id="dirty-develop"),
        pytest.param(tree("main", commit=None), (), id="no-commit"),
    ],
)
def test_main_and_develop_alone_move_a_tag_and_never_to_what_no_commit_holds(
    git: Git, tags: tuple[str, ...]
) -> None:
    assert moving_tags(git, "1.2.3") == tags


@pytest.mark.parametrize(
    "version",
    ["0.0.4", "1", "1.2.3", "2026.11", "1.0a1", "1.0b2", "1.0rc1", "1.0.post1", "1.0rc1.dev4"],
)
def test_a_version_is_the_end_of_its_tags(version: str) -> None:
    assert release_tag(version) == f"v{version}"
    assert moving_tags(tree("develop"), version) == (f"develop-{version}",)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", "canonical form"),
        ("v1.0", "canonical form"),
        ("1.0-beta", "canonical form"),
        ("1.0.RC1", "canonical form"),
        ("01.2", "canonical form"),
        ("1.0 ", "canonical form"),
        ("1.0\n", "canonical form"),
        ("latest", "canonical form"),
        ("١.٢", "canonical form"),
        ("1.0+local", "local part"),
        ("1!1.0", "epoch"),
    ],
)
def test_a_version_that_makes_no_tag_is_told(version: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        release_tag(version)
    with pytest.raises(UsageError, match=said):
        moving_tags(tree("develop"), version)


def test_a_tag_has_as_many_characters_as_registries_take() -> None:
    longest = "1" * (LONGEST - 1)
    assert len(release_tag(longest)) == LONGEST
    with pytest.raises(UsageError, match="129 characters, and 128 are the most"):
        release_tag(longest + "1")
    with pytest.raises(UsageError, match="135 characters"):
        moving_tags(tree("develop"), longest)
    require_fit(tree("main"), longest)
    with pytest.raises(UsageError, match="135 characters"):
        require_fit(tree("develop"), longest)


def test_the_projects_own_version_makes_a_tag() -> None:
    assert release_tag(read_version(ROOT))


@pytest.mark.parametrize(
    ("registry", "environ", "found"),
    [
        pytest.param("", {"GITHUB_REPOSITORY": "o/r"}, "ghcr.io/o/r", id="github"),
        pytest.param("", {"GITHUB_REPOSITORY": "Own-Er/Re.Po"}, "ghcr.io/own-er/re.po", id="case"),
        pytest.param("localhost:5000", {}, "localhost:5000/brewline", id="host"),
        pytest.param("localhost:5000/", {}, "localhost:5000/brewline", id="slash"),
        pytest.param("127.0.0.1:5000/a/b", {}, "127.0.0.1:5000/a/b", id="path"),
        pytest.param("[::1]:5000/a", {}, "[::1]:5000/a", id="ipv6"),
        pytest.param("registry:5000/a", {}, "registry:5000/a", id="short-host-with-port"),
        pytest.param("quay.io", {"GITHUB_REPOSITORY": "O/R"}, "quay.io/o/r", id="other-host"),
        pytest.param("Quay.io/A/b", {"GITHUB_REPOSITORY": "o/r"}, "quay.io/a/b", id="given-wins"),
    ],
)
def test_the_repository_of_images(registry: str, environ: dict[str, str], found: str) -> None:
    assert repository(registry, environ) == found


@pytest.mark.parametrize(
    ("registry", "environ", "said"),
    [
        pytest.param("", {}, "give --registry HOST/PATH", id="none"),
        pytest.param("owner/name", {}, "does not begin with a registry's host", id="no-host"),
        pytest.param("https://ghcr.io/a", {}, "does not begin with a", id="url"),
        pytest.param("localhost:99999/a", {}, "does not begin with a", id="port"),
        pytest.param("ghcr.io/a:latest", {}, "No registry takes", id="with-a-tag"),
        pytest.param("ghcr.io/a//b", {}, "No registry takes", id="empty-part"),
        pytest.param("ghcr.io/a b", {}, "No registry takes", id="space"),
        pytest.param("ghcr.io/" + "a" * 256, {}, "No registry takes", id="too-long"),
        pytest.param("", {"GITHUB_REPOSITORY": "o/.github"}, "No registry takes", id="dot-first"),
    ],
)
def test_a_repository_that_no_registry_takes_is_told(
    registry: str, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        repository(registry, environ)
