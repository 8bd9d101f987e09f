"""What is attached, at a registry that has the API which Debian's lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ci.errors import InfrastructureError
from ci.publishing.destination import Destination
from ci.publishing.referrers import Attachment, attach, attachments, fallback_tag
from engine.registry.repository import Manifest
from tests.ci.publishing import digest, within
from tests.engine.registry import crooked
from tests.engine.registry.crooked import Crooked

KIND = "application/example"
IMAGE = Manifest(data=b"{}", media_type="application/manifest", digest=digest(b"{}"))
ONE, TWO = (Attachment(media_type=KIND, content=content) for content in (b"one", b"two"))


@pytest.fixture
def server() -> Iterator[Crooked]:
    with crooked.running() as made:
        yield made


def where(server: Crooked) -> Destination:
    return Destination(repository=f"{server.address}/a")


def index(*digests: str) -> bytes:
    entries = [{"artifactType": KIND, "digest": each} for each in digests]
    return json.dumps({"manifests": entries}).encode()


def attached(server: Crooked) -> list[Attachment]:
    return within(where(server), lambda r: list(attachments(r, IMAGE.digest, (KIND,))))


@pytest.mark.parametrize("pages", [[], [(index(), "")]], ids=["without-the-api", "with-it"])
def test_the_fallback_tag_is_for_registries_without_the_api(
    server: Crooked, pages: list[tuple[bytes, str]]
) -> None:
    server.referrers = pages
    within(where(server), lambda r: attach(r, IMAGE, ONE))
    tag = f"/v2/a/manifests/{fallback_tag(IMAGE.digest)}"
    assert (tag in server.asked("PUT")) is not bool(pages)
    assert (tag in server.asked("GET")) is not bool(pages)


def test_what_is_attached_is_found_on_every_page(server: Crooked) -> None:
    first = within(where(server), lambda r: attach(r, IMAGE, ONE))
    second = within(where(server), lambda r: attach(r, IMAGE, TWO))
    server.referrers = [(index(first), "?page=1"), (index(second), "")]
    assert attached(server) == [ONE, TWO]


def test_a_page_that_is_missing_is_an_error_and_not_an_image_without_statements(
    server: Crooked,
) -> None:
    server.referrers = [(index(), "?page=7")]
    with pytest.raises(InfrastructureError, match="lacks the next page"):
        attached(server)
