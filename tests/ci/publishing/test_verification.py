from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci.errors import InfrastructureError
from ci.publishing.attestations import attest
from ci.publishing.cosign import image_signed_by, sign_image
from ci.publishing.destination import Destination
from ci.publishing.images import SOURCE, Published
from ci.publishing.referrers import Attachment, attach, fallback_tag
from ci.publishing.signature import PrivateKey, read_private, read_public
from ci.publishing.statement import (
    ENVELOPE_TYPE,
    PAYLOAD_TYPE,
    PROVENANCE,
    SBOM,
    Statement,
    to_be_signed,
)
from ci.publishing.verification import Expected, Verdict, verify
from engine.oci.reference import parse_reference
from engine.registry.repository import Repository, digest_of
from engine.standins import STAND_IN_LABEL
from tests.ci.publishing import COMMIT, OURS, image, within
from tests.ci.publishing.proxy import Proxy, lies_about, lists_first

BILL = {"packages": [{"name": "one"}, {"name": "two"}]}


def made_from(commit: str = COMMIT, source: str = OURS) -> dict[str, Any]:
    uri = {"uri": f"git+{source}"} if source else {}
    return {
        "buildDefinition": {"resolvedDependencies": [{**uri, "digest": {"gitCommit": commit}}]},
        "runDetails": {"builder": {"id": "https://builder"}},
    }


def statement(digest: str, kind: str, predicate: dict[str, Any]) -> Statement:
    return Statement(name="product", digest=digest, predicate_type=kind, predicate=predicate)


def describe(
    repository: Repository,
    made: Published,
    *,
    key: PrivateKey | None = None,
    bill: dict[str, Any] | None = BILL,
    provenance: dict[str, Any] | None = None,
    digest: str = "",
) -> None:
    """Attach what a build attaches, or something like it."""
    about = digest or made.digest
    if key:
        sign_image(repository, "product", made.digest, key)
    if bill is not None:
        attest(repository, made.manifest, statement(about, SBOM, bill), key)
    provenance = made_from() if provenance is None else provenance
    attest(repository, made.manifest, statement(about, PROVENANCE, provenance), key)


def verified(where: Destination, reference: str, expected: Expected | None = None) -> Verdict:
    parsed = parse_reference(f"{where.repository}{reference}")
    return within(where, lambda r: verify(r, parsed, expected or Expected()))


def make_key(folder: Path, name: str) -> Path:
    path = folder / f"{name}.pem"
    command = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run([*command.split(), path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files with a private key each."""
    folder = tmp_path_factory.mktemp("keys")
    return make_key(folder, "ours"), make_key(folder, "theirs")


def test_an_image_with_all_that_belongs_to_it_is_verified_by_tag_and_by_digest(
    where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    for reference in (":sha-abcdef0", f"@{published.digest}", f":sha-abcdef0@{published.digest}"):
        verdict = verified(where, reference, Expected(commit=COMMIT, source=OURS))
        assert verdict.failures == ()
        assert dict(verdict.facts) == {
            "commit": COMMIT,
            "packages": "2",
            "source": OURS,
            "builder": "https://builder",
            "signatures": "none",
        }


def test_an_image_without_tag_and_digest_is_the_latest(
    where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    assert verified(where, "").failures == (f"There is no image {where.repository}:latest.",)
    copy_tag(where, "sha-abcdef0", "latest")
    assert verified(where, "") == verified(where, ":latest")
    assert verified(where, "").digest == published.digest


def test_the_list_of_what_is_attached_is_kept_under_the_fallback_tag(
    where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    index = within(where, lambda r: r.manifest(fallback_tag(published.digest)))
    listed = json.loads(index.data)["manifests"]
    assert [entry["annotations"]["in-toto.io/predicate-type"] for entry in listed] == [
        SBOM,
        PROVENANCE,
    ]
    manifest = json.loads(within(where, lambda r: r.manifest(listed[0]["digest"])).data)
    assert manifest["subject"]["digest"] == published.digest
    assert manifest["subject"]["size"] == len(published.manifest.data)
    within(where, lambda r: describe(r, published))
    assert within(where, lambda r: r.manifest(fallback_tag(published.digest))) == index


def test_signatures_are_held_to_the_key_that_is_named(
    where: Destination, published: Published, keys: tuple[Path, Path]
) -> None:
    ours, theirs = map(read_private, keys)
    within(where, lambda r: describe(r, published, key=ours))
    assert verified(where, ":sha-abcdef0", Expected(key=ours.public)).failures == ()
    assert verified(where, ":sha-abcdef0", Expected(key=theirs.public)).failures == (
        f"The image is not signed by the key {theirs.public.id[:12]}.",
        f"The bill of materials is not signed by the key {theirs.public.id[:12]}.",
        f"The provenance is not signed by the key {theirs.public.id[:12]}.",
    )
    facts = dict(verified(where, ":sha-abcdef0").facts)
    assert facts["signatures"] == "not checked: name a key with --key"


def test_an_image_whose_statements_alone_are_signed_is_told(
    where: Destination, published: Published, keys: tuple[Path, Path]
) -> None:
    ours = read_private(keys[0])
    within(where, lambda r: describe(r, published, key=ours))
    tag = f"{fallback_tag(published.digest)}.sig"
    other = within(where, lambda r: image(r, "sha-1234567", content="two"))
    within(where, lambda r: sign_image(r, where.repository, other.digest, ours))
    copy_tag(where, f"{fallback_tag(other.digest)}.sig", tag)
    assert verified(where, ":sha-abcdef0", Expected(key=ours.public)).failures == (
        f"The image is not signed by the key {ours.public.id[:12]}.",
    )
    assert verified(where, ":sha-abcdef0").failures == ()


def test_what_is_not_signed_does_not_pass_for_signed(
    where: Destination, published: Published, keys: tuple[Path, Path]
) -> None:
    within(where, lambda r: describe(r, published))
    key = read_public(keys[0])
    assert verified(where, ":sha-abcdef0", Expected(key=key)).failures == (
        f"The image is not signed by the key {key.id[:12]}.",
        "The bill of materials is not signed.",
        "The provenance is not signed.",
    )


def test_what_strangers_attach_does_not_spoil_what_is_good(
    where: Destination, published: Published, keys: tuple[Path, Path]
) -> None:
    ours, theirs = map(read_private, keys)
    within(where, lambda r: describe(r, published, key=theirs, provenance=made_from("0" * 40)))
    within(where, lambda r: describe(r, published, key=ours))
    assert verified(where, ":sha-abcdef0", Expected(key=ours.public)).failures == ()


Break = Callable[[Repository, Published], None]
DEEP = "[" * 3000 + "]" * 3000
HUGE = bytes(33 << 20)


def enveloped(repository: Repository, made: Published, envelope: dict[str, Any]) -> None:
    found = Attachment(media_type=ENVELOPE_TYPE, content=json.dumps(envelope).encode())
    attach(repository, made.manifest, found)


def attach_deeply(repository: Repository, made: Published) -> None:
    """What nests deeper than Python reads, and the registry takes."""
    index = repository.manifest(fallback_tag(made.digest))
    first, *others = json.loads(index.data)["manifests"]
    manifest = repository.manifest(first["digest"])
    data = manifest.data[:-1] + f',"x":{DEEP}}}'.encode()
    repository.put_manifest(digest_of(data), manifest.media_type, data)
    entry = {**first, "digest": digest_of(data), "size": len(data)}
    listed = {**json.loads(index.data), "manifests": [entry, first, *others]}
    listing = json.dumps(listed).encode()
    repository.put_manifest(fallback_tag(made.digest), index.media_type, listing)


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(
            lambda r, i: attest(r, i.manifest, statement(i.digest, SBOM, {"packages": 5}), None),
            id="number-of-packages",
        ),
        pytest.param(
            lambda r, i: enveloped(r, i, {"payloadType": PAYLOAD_TYPE, "payload": "\u00fc"}),
            id="payload-not-ascii",
        ),
        pytest.param(attach_deeply, id="deep"),
        pytest.param(
            lambda r, i: attach(r, i.manifest, Attachment(media_type=PAYLOAD_TYPE, content=HUGE)),
            id="more-than-fits-into-memory",
        ),
    ],
)
def test_what_strangers_attach_may_be_anything(
    where: Destination, published: Published, put: Break
) -> None:
    within(where, lambda r: describe(r, published))
    within(where, lambda r: put(r, published))
    verdict = verified(where, ":sha-abcdef0")
    assert verdict.failures == () and dict(verdict.facts)["packages"] == "2"


@pytest.mark.parametrize("listed", ["foo:1", f"foo:{'1' * 32}", 5, None], ids=str)
def test_what_strangers_list_may_be_anything(
    faulty: Proxy, behind_faults: Destination, listed: object
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    within(behind_faults, lambda r: describe(r, made))
    faulty.misdeed = lists_first({"artifactType": PAYLOAD_TYPE, "digest": listed})
    assert verified(behind_faults, ":sha-abcdef0").failures == ()


def test_what_strangers_sign_may_be_anything(
    where: Destination, published: Published, keys: tuple[Path, Path]
) -> None:
    ours = read_private(keys[0])
    within(where, lambda r: sign_image(r, where.repository, published.digest, ours))
    tag = f"{fallback_tag(published.digest)}.sig"

    def sign_hugely(repository: Repository) -> None:
        found = repository.manifest(tag)
        table = json.loads(found.data)
        layer = {**table["layers"][0], "digest": digest_of(HUGE), "size": len(HUGE)}
        table["layers"].insert(0, layer)
        repository.upload(digest_of(HUGE), HUGE)
        repository.put_manifest(tag, found.media_type, json.dumps(table).encode())

    within(where, sign_hugely)
    assert within(where, lambda r: image_signed_by(r, published.digest, ours.public))


def test_an_index_of_several_images_is_told(where: Destination, published: Published) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    entry = {
        "mediaType": published.manifest.media_type,
        "digest": published.digest,
        "size": len(published.manifest.data),
    }
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [entry, entry]}
    within(where, lambda r: r.put_manifest("both", kind, json.dumps(index).encode()))
    assert verified(where, ":both").failures == (
        f"{where.repository}:both is an index of 2 images: we push one alone.",
    )


def test_a_certificate_that_is_not_trusted_says_nothing_of_the_image(
    where: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(InfrastructureError, match="the certificate of .* is not trusted"):
        verified(where, ":latest")


def describe_and_move_away(repository: Repository, made: Published) -> None:
    describe(repository, made)
    image(repository, "sha-abcdef0", content="moved")


@pytest.mark.parametrize(
    ("attach", "failure"),
    [
        pytest.param(
            lambda r, i: describe(r, i, bill=None),
            "There is no bill of materials attached.",
            id="no-sbom",
        ),
        pytest.param(
            lambda r, i: describe(r, i, bill={}),
            "The bill of materials lists no packages.",
            id="empty-sbom",
        ),
        pytest.param(
            lambda r, i: attest(r, i.manifest, statement(i.digest, SBOM, BILL), None),
            "There is no provenance attached.",
            id="no-provenance",
        ),
        pytest.param(
            lambda r, i: describe(r, i, provenance=made_from(commit="1" * 40)),
            f"The provenance names the commit {'1' * 40}, not {COMMIT}.",
            id="another-commit",
        ),
        pytest.param(
            lambda r, i: describe(r, i, provenance=made_from(source="https://evil")),
            f"The provenance names the repository https://evil, not {OURS}.",
            id="another-repository",
        ),
        pytest.param(
            lambda r, i: describe(r, i, provenance={}),
            f"The provenance names no commit, not {COMMIT}.",
            id="no-commit",
        ),
        pytest.param(
            lambda r, i: describe(r, i, digest=f"sha256:{'2' * 64}"),
            f"The provenance is about sha256:{'2' * 64}.",
            id="another-subject",
        ),
        pytest.param(
            describe_and_move_away,
            "The tag sha-abcdef0 is on sha256:",
            id="moved-tag",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_a_sentence(
    where: Destination, published: Published, attach: Break, failure: str
) -> None:
    within(where, lambda r: attach(r, published))
    failures = verified(where, f"@{published.digest}").failures
    assert any(each.startswith(failure) for each in failures), failures


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        (Expected(commit="3" * 40), f"Its labels name the commit {COMMIT}, not {'3' * 40}."),
        (Expected(source="https://x"), f"Its labels name the repository {OURS}, not https://x."),
    ],
)
def test_another_image_than_the_expected_one_is_told(
    where: Destination, published: Published, expected: Expected, failure: str
) -> None:
    within(where, lambda r: describe(r, published))
    assert failure in verified(where, ":sha-abcdef0", expected).failures


def test_an_image_of_a_repository_that_nobody_knows_is_verified_unless_one_is_expected(
    where: Destination,
) -> None:
    made = within(where, lambda r: image(r, "sha-abcdef0", labels={SOURCE: ""}))
    within(where, lambda r: describe(r, made, provenance=made_from(source="")))
    verdict = verified(where, ":sha-abcdef0", Expected(commit=COMMIT))
    assert verdict.failures == () and dict(verdict.facts)["source"] == "unknown"
    assert verified(where, ":sha-abcdef0", Expected(source=OURS)).failures == (
        f"Its labels name no repository, not {OURS}.",
        f"The provenance names no repository, not {OURS}.",
    )


def test_a_stand_in_is_verified_on_loopback_alone(where: Destination) -> None:
    made = within(where, lambda r: image(r, "sha-abcdef0", labels={STAND_IN_LABEL: "python:3"}))
    within(where, lambda r: describe(r, made))
    assert verified(where, ":sha-abcdef0").failures == ("It stands on a stand-in for python:3.",)
    assert verified(where, ":sha-abcdef0", Expected(loopback=True)).failures == ()


def test_labels_that_name_nothing_are_told(where: Destination) -> None:
    empty = {"org.opencontainers.image.revision": "", SOURCE: ""}
    within(where, lambda r: image(r, "v1", labels=empty))
    assert "Its labels name no commit." in verified(where, ":v1").failures


def test_an_image_that_is_not_there_is_told(where: Destination) -> None:
    failures = verified(where, ":latest").failures
    assert failures == (f"There is no image {where.repository}:latest.",)


def test_a_registry_that_lies_about_what_is_attached_is_a_failure(
    faulty: Proxy, behind_faults: Destination
) -> None:
    made = within(behind_faults, lambda r: image(r, "sha-abcdef0"))
    within(behind_faults, lambda r: describe(r, made))
    faulty.misdeed = lies_about("/blobs/sha256:")
    (failure,) = verified(behind_faults, ":sha-abcdef0").failures
    assert "The registry contradicts itself" in failure and "its digest is sha256:" in failure


def test_the_image_is_signed_for_cosign_beside_the_signatures_of_others(
    where: Destination, published: Published, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, theirs = map(read_private, keys)
    for key in (ours, theirs, ours):
        within(where, lambda r: sign_image(r, where.repository, published.digest, key))
    for key in (ours, theirs):
        assert within(where, lambda r: image_signed_by(r, published.digest, key.public))
    tag = f"{fallback_tag(published.digest)}.sig"
    layers = json.loads(within(where, lambda r: r.manifest(tag)).data)["layers"]
    assert len(layers) == 2
    other = within(where, lambda r: image(r, "sha-1234567", content="two"))
    assert not within(where, lambda r: image_signed_by(r, other.digest, ours.public))
    copy_tag(where, tag, f"{fallback_tag(other.digest)}.sig")
    assert not within(where, lambda r: image_signed_by(r, other.digest, ours.public))


def copy_tag(where: Destination, name: str, to: str) -> None:
    def copy(repository: Repository) -> None:
        found = repository.manifest(name)
        repository.put_manifest(to, found.media_type, found.data)

    within(where, copy)


def test_what_is_attached_to_another_image_does_not_count(
    where: Destination, published: Published
) -> None:
    within(where, lambda r: describe(r, published))
    other = within(where, lambda r: image(r, "sha-1234567", content="two"))
    copy_tag(where, fallback_tag(published.digest), fallback_tag(other.digest))
    failures = verified(where, f"@{other.digest}").failures
    assert "There is no provenance attached." in failures


def test_openssl_agrees_with_what_is_signed(keys: tuple[Path, Path], tmp_path: Path) -> None:
    data = to_be_signed(b'{"a":1}')
    assert data == b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}'
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "signature").write_bytes(read_private(keys[0]).sign(data))
    public = subprocess.run(
        ["openssl", "pkey", "-in", keys[0], "-pubout"], check=True, capture_output=True
    ).stdout
    (tmp_path / "public").write_bytes(public)
    assert read_public(tmp_path / "public").id == read_private(keys[0]).public.id
    command = "openssl dgst -sha256 -verify public -signature signature data"
    done = subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "Verified OK\n"


def test_a_private_key_is_in_no_printed_form(keys: tuple[Path, Path]) -> None:
    where = Destination(repository="h:1/a", user="u", password="s3cret", signing_key=keys[0])
    assert "s3cret" not in f"{where!r} {dataclasses.replace(where)}"
    assert "PRIVATE" not in repr(read_private(keys[0]))
