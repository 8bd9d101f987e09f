from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import registry
from ci.errors import InfrastructureError, Refused
from ci.publishing.destination import Destination
from ci.publishing.images import Published
from ci.publishing.promotion import Put, digest_of, promote, release
from engine.standins import STAND_IN_LABEL
from tests.ci.publishing import PASSWORD, USER, image, within
from tests.ci.publishing.proxy import Proxy, dies_before, forgets, lies_about, limits


def tag(where: Destination, name: str) -> str:
    return within(where, lambda repository: digest_of(repository, name))


def test_a_moving_tag_is_put_on_the_digest_and_read_back(
    where: Destination, published: Published
) -> None:
    put = within(where, lambda r: promote(r, published.digest, ["latest"]))
    assert put == (Put(tag="latest", moved=True),)
    assert tag(where, "latest") == published.digest == tag(where, "sha-abcdef0")


def test_a_second_promotion_finds_the_work_done(where: Destination, published: Published) -> None:
    within(where, lambda r: promote(r, published.digest, ["latest"]))
    again = within(where, lambda r: promote(r, published.digest, ["latest"]))
    assert [str(each) for each in again] == ["latest was there already"]


def test_a_moving_tag_moves_on(where: Destination, published: Published) -> None:
    within(where, lambda r: promote(r, published.digest, ["latest"]))
    newer = within(where, lambda r: image(r, "sha-1234567", content="two"))
    within(where, lambda r: promote(r, newer.digest, ["latest"]))
    assert tag(where, "latest") == newer.digest != published.digest


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
        within(where, lambda r: promote(r, made.digest, ["latest"]))
    with pytest.raises(Refused, match="not released"):
        within(where, lambda r: release(r, made.digest, "v1.2.3"))
    assert tag(where, "latest") == tag(where, "v1.2.3") == ""


def test_a_digest_that_is_gone_is_not_promoted(where: Destination, published: Published) -> None:
    gone = f"sha256:{'0' * 64}"
    with pytest.raises(InfrastructureError, match="has no image sha256:0000"):
        within(where, lambda r: promote(r, gone, ["latest"]))


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param(USER, "wr0ng-w0rd", id="wrong-password"),
        pytest.param("nobody", PASSWORD, id="unknown-user"),
        pytest.param("", "", id="no-login"),
    ],
)
def test_a_login_that_is_refused_is_one_sentence_without_the_password(
    where: Destination, published: Published, user: str, password: str
) -> None:
    refused = dataclasses.replace(where, user=user, password=password)
    with pytest.raises(InfrastructureError, match="does not accept the login") as raised:
        within(refused, lambda r: promote(r, published.digest, ["latest"]))
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
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"]))
    faulty.misdeed = None
    assert tag(behind_faults, "latest") == ""
    within(behind_faults, lambda r: promote(r, made.digest, ["latest"]))
    assert tag(behind_faults, "latest") == made.digest


def test_a_limit_of_requests_is_waited_for(faulty: Proxy, behind_faults: Destination) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = limits(1, after="0")
    within(behind_faults, lambda r: promote(r, made.digest, ["latest"]))
    assert tag(behind_faults, "latest") == made.digest


def test_a_limit_that_lasts_longer_than_a_run_can_wait_is_told(
    faulty: Proxy, behind_faults: Destination
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = limits(1, after="3600")
    with pytest.raises(InfrastructureError, match="429 .slow down.: it limits how often"):
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"]))


@pytest.mark.parametrize("part", ["/manifests/sha256:", "/manifests/latest"])
def test_a_registry_that_lies_about_a_digest_is_not_believed(
    faulty: Proxy, behind_faults: Destination, part: str
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    faulty.misdeed = lies_about(part)
    with pytest.raises(InfrastructureError, match="cannot be trusted.*its digest is sha256:"):
        within(behind_faults, lambda r: promote(r, made.digest, ["latest"]))


def test_a_tag_that_is_only_said_to_have_moved_is_told(
    faulty: Proxy, behind_faults: Destination
) -> None:
    older = within(behind_faults, lambda r: image(r, "latest"))
    newer = within(behind_faults, lambda r: image(r, "sha-1234567", content="two"))
    faulty.misdeed = forgets("PUT", "/manifests/latest")
    with pytest.raises(InfrastructureError, match=f"read back on {older.digest}"):
        within(behind_faults, lambda r: promote(r, newer.digest, ["latest"]))


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
        within(where, lambda r: promote(r, made.digest, ["latest"]))
    ballast.unlink()
    assert tag(where, "latest") == ""
    within(where, lambda r: promote(r, made.digest, ["latest"]))
    assert tag(where, "latest") == made.digest
