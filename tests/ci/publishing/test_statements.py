from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.publishing import provenance
from ci.publishing.sbom import about
from ci.publishing.signature import read_private, read_public
from ci.publishing.statement import (
    SBOM,
    Malformed,
    Statement,
    read_envelope,
    read_statement,
    signed,
)
from tests.ci import ROOT

DIGEST = f"sha256:{'d' * 64}"


@pytest.mark.parametrize(
    ("dockerfile", "images"),
    [
        ("FROM a:1\n", ("a:1",)),
        ("FROM a:1 AS one\nFROM b\nFROM one\n", ("a:1", "b")),
        ("FROM --platform=linux/amd64 a:1 as One\nFROM one\n", ("a:1",)),
        ("from a@sha256:12\nFROM scratch\n", ("a@sha256:12",)),
        ("FROM a\nFROM a AS again\n# FROM b\nRUN echo FROM c\n", ("a",)),
    ],
)
def test_base_images_are_those_that_are_no_stages(dockerfile: str, images: tuple[str, ...]) -> None:
    assert provenance.base_images(dockerfile) == images


def test_the_base_of_our_own_image_is_known() -> None:
    (base,) = provenance.base_images((ROOT / "Dockerfile").read_text())
    assert base.partition("@")[0] == "python:3.11-slim-bookworm"


def built(source: str, builder: str) -> provenance.Built:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    return provenance.Built(
        source=source,
        commit="a" * 40,
        branch="main",
        version="1.2.3",
        builder=builder,
        engine="dagger v0.21.11",
        run_id="7-1",
        started=moment,
        finished=moment,
        bases=[f"docker.io/library/python:3.11@sha256:{'b' * 64}", "python:3"],
        files={"Dockerfile": "c" * 64},
    )


def test_provenance_names_commit_builder_parameters_and_materials() -> None:
    workflow = "https://github.com/o/r/.github/workflows/ci.yml@refs/heads/main"
    made = provenance.predicate(built("https://github.com/o/r", workflow))
    assert provenance.commit_of(made) == "a" * 40
    assert provenance.source_of(made) == "https://github.com/o/r"
    assert provenance.builder_of(made) == workflow
    assert made["buildDefinition"]["buildType"] == provenance.BUILD_TYPE
    assert made["buildDefinition"]["externalParameters"]["ref"] == "refs/heads/main"
    assert made["buildDefinition"]["resolvedDependencies"][1:] == [
        {"uri": "docker://docker.io/library/python:3.11", "digest": {"sha256": "b" * 64}},
        {"uri": "docker://python:3"},
        {"uri": "Dockerfile", "digest": {"sha256": "c" * 64}},
    ]
    assert made["runDetails"]["metadata"]["startedOn"] == "2026-01-02T03:04:05Z"


def test_off_github_the_builder_is_the_program_of_the_commit() -> None:
    made = provenance.predicate(built("https://git.test/o/r", ""))
    assert provenance.builder_of(made) == f"git+https://git.test/o/r@{'a' * 40}#ci/main.py"


def test_provenance_of_a_repository_that_nobody_knows_names_none() -> None:
    made = provenance.predicate(built("", ""))
    assert provenance.commit_of(made) == "a" * 40
    assert provenance.source_of(made) is None
    assert provenance.builder_of(made) == provenance.BUILDER
    assert "source" not in made["buildDefinition"]["externalParameters"]
    assert made["buildDefinition"]["buildType"] == provenance.BUILD_TYPE


@pytest.mark.parametrize("predicate", [{}, {"buildDefinition": 1}, {"buildDefinition": {}}])
def test_a_predicate_that_names_nothing_is_no_error(predicate: dict[str, object]) -> None:
    assert provenance.commit_of(predicate) is provenance.source_of(predicate) is None
    assert provenance.builder_of(predicate) is None


def test_a_bill_of_materials_is_about_the_image_and_not_a_folder() -> None:
    document = {
        "name": "/rootfs",
        "packages": [{"SPDXID": "root", "name": "/rootfs"}, {"SPDXID": "x", "name": "x"}],
        "relationships": [{"relationshipType": "DESCRIBES", "relatedSpdxElement": "root"}],
    }
    found = about(document, "ghcr.io/o/r", DIGEST)
    assert found["name"] == f"ghcr.io/o/r@{DIGEST}"
    root, other = found["packages"]
    assert root["name"] == "ghcr.io/o/r" and root["SPDXID"] == "root"
    assert root["checksums"] == [{"algorithm": "SHA256", "checksumValue": "d" * 64}]
    assert other == {"SPDXID": "x", "name": "x"}
    assert document["name"] == "/rootfs"


def test_statements_and_envelopes_are_read_as_they_were_written() -> None:
    statement = Statement(name="n", digest=DIGEST, predicate_type=SBOM, predicate={"a": [1]})
    assert read_statement(statement.encoded()) == statement
    envelope = signed(statement.encoded(), "id", lambda data: b"by me")
    assert read_envelope(envelope.encoded()) == envelope
    assert read_statement(read_envelope(envelope.encoded()).payload) == statement


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"subject":[],"predicateType":"t","predicate":{}}',
        b'{"subject":[{"digest":{}}],"predicateType":"t","predicate":{}}',
        b'{"subject":[{"digest":{"sha256":"x"}}],"predicateType":"t","predicate":1}',
        b'{"payloadType":"application/vnd.in-toto+json","payload":"%","signatures":[]}',
        b'{"payloadType":"other","payload":"","signatures":[]}',
    ],
)
def test_what_is_no_statement_is_told_from_one(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_statement(text)
    with pytest.raises(Malformed):
        read_envelope(text)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("openssl genpkey -algorithm RSA -out", "not one of ECDSA on P-256"),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out",
            "not one of ECDSA on P-256",
        ),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:sect283k1 -out",
            "not one of ECDSA on P-256",
        ),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 "
            "-pass pass:word -out",
            "has a password",
        ),
        ("touch", "holds no p.* key in PEM"),
        ("true", "cannot be read: No such file"),
    ],
)
def test_a_key_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, command: str, message: str
) -> None:
    file = tmp_path / "key"
    subprocess.run([*command.split(), file], check=True, capture_output=True)
    for read in (read_private, read_public):
        with pytest.raises(UsageError, match=message):
            read(file)


def test_equal_statements_are_equal_bytes() -> None:
    one = Statement(name="n", digest=DIGEST, predicate_type="t", predicate={"a": 1, "b": 2})
    two = Statement(name="n", digest=DIGEST, predicate_type="t", predicate={"b": 2, "a": 1})
    assert one.encoded() == two.encoded()
    assert json.loads(one.encoded())["subject"] == [{"name": "n", "digest": {"sha256": "d" * 64}}]
