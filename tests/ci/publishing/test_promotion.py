from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import registry
from ci.errors import InfrastructureError, Refused
from ci.publishing.destination import Destination
from ci.publishing.images import CREATED, REVISION, Published
from ci.publishing.promotion import Put, digest_of, promote, release
from engine.standins import STAND_IN_LABEL
from tests.ci.publishing import PASSWORD, USER, image, untold, within
from tests.ci.publishing.proxy import Proxy, dies_before, forgets, lies_about, limits


def tag(where: Destination, name: str) -> str:
    return within(where, lambda repository: digest_of(repository, name))


def test_a_moving_tag_is_put_on_the_digest_and_read_back(
    where: Destination, published: Published
) -> None:
    put = within(where, lambda r: promote(r, published.digest, ["latest"], untold))
    assert put == (Put(tag="latest", moved=True),)
    assert tag(where, "latest") == published.digest == tag(where, "sha-abcdef0")


def test_a_second_promotion_finds_the_work_done(where: Destination, published: Published) -> None:
    within(where, lambda r: promote(r, published.digest, ["latest"], untold))
    again = within(where, lambda r: promote(r, published.digest, ["latest"], untold))
    assert [str(each) for each in again] == ["latest was there already"]


def test_a_moving_tag_moves_on(where: Destination, published: Published) -> None:
    within(where, lambda r: promote(r, published.digest, ["latest"], untold))
    newer = within(where, lambda r: image(r, "sha-1234567", content="two"))
    within(where, lambda r: promote(r, newer.digest, ["latest"], untold))
    assert tag(where, "latest") == newer.digest != published.digest


def made(where: Destination, name: str, commit: str, created: str = "") -> Published:
    """An image of a commit, each with its own content."""
    labels = {REVISION: commit, **({CREATED: created} if created else {})}
    return within(where, lambda r: image(r, name, content=commit, labels=labels))


A, B = "a" * 40, "b" * 40
EARLIER, LATER = "2026-01-01T12:30:00+01:00", "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("descends", "there", "ours", "moves"),
    [
        pytest.param(True, EARLIER, EARLIER, False, id="a-descendant-is-there"),
        pytest.param(True, EARLIER, LATER, False, id="whatever-the-clocks-say"),
        pytest.param(False, LATER, EARLIER, True, id="no-descendant-whatever-the-clocks-say"),
        pytest.param(None, LATER, EARLIER, False, id="a-later-one-in-a-shallow-clone"),
        pytest.param(None, EARLIER, LATER, True, id="an-earlier-one-in-a-shallow-clone"),
        pytest.param(None, EARLIER, EARLIER, True, id="of-the-same-second"),
        pytest.param(None, "", EARLIER, True, id="without-a-time"),
        pytest.param(None, "yesterday", EARLIER, True, id="with-a-time-that-is-none"),
    ],
)
def test_a_moving_tag_does_not_move_back(
    where: Destination, descends: bool | None, there: str, ours: str, moves: bool
) -> None:
    before = made(where, "latest", A, there)
    image = made(where, "sha-bbbbbbb", B, ours)

    def known(commit: str, ancestor: str) -> bool | None:
        assert (commit, ancestor) == (A, B)
        return descends

    if moves:
        within(where, lambda r: promote(r, image.digest, ["latest"], known))
    else:
        with pytest.raises(Refused, match="latest is on the image of aaaaaaa, a later commit"):
            within(where, lambda r: promote(r, image.digest, ["latest"], known))
    assert tag(where, "latest") == (image if moves else before).digest


def test_another_build_of_the_same_commit_takes_its_tag_over(where: Destination) -> None:
    within(where, lambda r: image(r, "latest", labels={REVISION: A}))
    again = within(where, lambda r: image(r, "sha-aaaaaaa", content="2", labels={REVISION: A}))
    within(where, lambda r: promote(r, again.digest, ["latest"], lambda *_: True))
    assert tag(where, "latest") == again.digest


def test_what_somebody_else_put_under_a_tag_does_not_keep_it(where: Destination) -> None:
    published = made(where, "sha-aaaaaaa", A)
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []}).encode()
    within(where, lambda r: r.put_manifest("latest", kind, index))
    within(where, lambda r: promote(r, published.digest, ["latest"], untold))
    assert tag(where, "latest") == published.digest


def test_a_release_never_moves(where: Destination, published: Published) -> None:
    first = within(where, lambda r: release(r, published.digest, "v1.2.3"))
    assert first.moved
    again = within(where, lambda r: release(r, published.digest, "v1.2.3"))
    assert str(again) == "v1.2.3 was there already"
    other = within(where, lambda r: image(r, "sha-1234567", content="two"))
    with pytest.raises(Refused, match="v1.2.3 was released as sha256:.* never moves"):
        within(where, lambda r: release(r, other.digest, "v1.2.3"))
    assert tag(where, "v1.2.3") == published.digest


def test_an_image_on_a_stand_in_is_neither_promoted_nor_released(where: Destination) -> None:
    made = within(where, lambda r: image(r, "sha-1234567", labels={STAND_IN_LABEL: "python:3"}))
    with pytest.raises(Refused, match="stand-in for python:3, so that it is not promoted"):
        within(where, lambda r: promote(r, made.digest, ["latest"], untold))
    with pytest.raises(Refused, match="not released"):
        within(where, lambda r: release(r, made.digest, "v1.2.3"))
    assert tag(where, "latest") == tag(where, "v1.2.3") == ""


def test_a_digest_that_is_gone_is_not_promoted(where: Destination, published: Published) -> None:
    gone = f"sha256:{'0' * 64}"
    with pytest.raises(InfrastructureError, match="has no image sha256:0000"):
        within(where, lambda r: promote(r, gone, ["latest"], untold))


@pytest.mark.parametrize(
    ("user", "password", "message"),
    [
        pytest.param(USER, "wr0ng-w0rd", "does not accept the login", id="wrong-password"),
        pytest.param("nobody", PASSWORD, "does not accept the login", id="unknown-user"),
        pytest.param("", "", "wants a login, or has no such image", id="no-login"),
    ],
)
def test_a_login_that_is_refused_is_one_sentence_without_the_password(
    where: Destination, published: Published, user: str, password: str, message: str
) -> None:
    refused = dataclasses.replace(where, user=user, password=password)
    with pytest.raises(InfrastructureError, match=message) as raised:
        within(refused, lambda r: promote(r, published.digest, ["latest"], untold))
    assert "BREWLINE_REGISTRY_USER" in raised.value.message
    for word in ("wr0ng-w0rd", PASSWORD):
        assert word not in f"{raised.value.message}{raised.value.detail}{refused!r}"
    assert tag(where, "latest") == ""


@pytest.mark.parametrize(
    ("method", "part"),
    [
        pytest.param("GET", "/manifests/sha256:", id="before-it-is-read"),
        pytest.param("PUT", "/manifests/latest", id="before-the-tag"),
    ],
)
def test_a_registry_that_dies_leaves_no_tag_and_the_next_run_puts_it(
    faulty: Proxy, behind_faults: Destination, method: str, part: str
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = dies_before(method, part)
    with pytest.raises(InfrastructureError, match="did not answer"):
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"], untold))
    faulty.misdeed = None
    assert tag(behind_faults, "latest") == ""
    within(behind_faults, lambda r: promote(r, made.digest, ["latest"], untold))
    assert tag(behind_faults, "latest") == made.digest


def test_a_limit_of_requests_is_waited_for(faulty: Proxy, behind_faults: Destination) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = limits(1, after="0")
    within(behind_faults, lambda r: promote(r, made.digest, ["latest"], untold))
    assert tag(behind_faults, "latest") == made.digest


def test_a_limit_that_lasts_longer_than_a_run_can_wait_is_told(
    faulty: Proxy, behind_faults: Destination
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = limits(1, after="3600")
    with pytest.raises(InfrastructureError, match="429 .slow down.: it limits how often"):
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"], untold))


@pytest.mark.parametrize("part", ["/manifests/sha256:", "/manifests/latest"])
def test_a_registry_that_lies_about_a_digest_is_not_believed(
    faulty: Proxy, behind_faults: Destination, part: str
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = lies_about(part)
    with pytest.raises(InfrastructureError, match="cannot be trusted.*its digest is sha256:"):
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"], untold))


def test_a_tag_that_is_only_said_to_have_moved_is_told(
    faulty: Proxy, behind_faults: Destination
) -> None:
    older = within(behind_faults, lambda r: image(r, "latest"))
    newer = within(behind_faults, lambda r: image(r, "sha-1234567", content="two"))
    faulty.misdeed = forgets("PUT", "/manifests/latest")
    with pytest.raises(InfrastructureError, match=f"read back on {older.digest}"):
        within(behind_faults, lambda r: promote(r, newer.digest, ["latest"], untold))


@pytest.fixture
def small(registry_program: Path, tmp_path: Path) -> Iterator[tuple[Destination, Path]]:
    """A registry whose disk is small, and that disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "small", disk], check=True)
    try:
        with registry.running(registry_program, disk) as address:
            yield Destination(repository=f"{address}/our/product"), disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_leaves_no_tag_and_is_told(small: tuple[Destination, Path]) -> None:
    where, disk = small
    made = within(where, lambda r: image(r, "sha-abcdef0"))
    ballast = disk / "ballast"
    with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(InfrastructureError, match="answered 500"):
        within(where, lambda r: promote(r, made.digest, ["latest"], untold))
    ballast.unlink()
    assert tag(where, "latest") == ""
    within(where, lambda r: promote(r, made.digest, ["latest"], untold))
    assert tag(where, "latest") == made.digest
