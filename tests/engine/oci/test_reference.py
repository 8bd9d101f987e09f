"""Image references, with the error texts of recorded sessions."""

from __future__ import annotations

import pytest

from engine.oci.reference import InvalidReference, Reference, parse_reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim", "python:3.11-slim"),
        ("docker.io/python:3", "docker.io/library/python:3", "python:3"),
        ("index.docker.io/library/python:3", "docker.io/library/python:3", "python:3"),
        ("aquasec/trivy", "docker.io/aquasec/trivy:latest", "aquasec/trivy:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("127.0.0.1:9/no/image:x", "127.0.0.1:9/no/image:x", "127.0.0.1:9/no/image:x"),
        ("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y"),
        ("ghcr.io/a/b-c__d.e:V1_2", "ghcr.io/a/b-c__d.e:V1_2", "ghcr.io/a/b-c__d.e:V1_2"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
        (f"a.b/c:1@{DIGEST}", f"a.b/c:1@{DIGEST}", f"a.b/c:1@{DIGEST}"),
        ("EXAMPLE.com/a", "EXAMPLE.com/a:latest", "EXAMPLE.com/a:latest"),
    ],
)
def test_a_reference_is_spelt_out_and_shortened(text: str, canonical: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (reference.canonical, reference.familiar) == (canonical, familiar)
    assert parse_reference(reference.canonical).canonical == canonical
    assert parse_reference(reference.familiar).canonical == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Not A Ref", "repository name (library/Not A Ref) must be lowercase"),
        ("", ""),
        ("python@sha256:1234", ""),
        ("UPPER/Case:tag:tag", "repository name (Case) must be lowercase"),
        ("a:b:c", ""),
        ("a b", ""),
        ("-a", ""),
        ("a/", ""),
        ("/a", ""),
        ("a//b", ""),
        ("a:", ""),
        ("a:-x", ""),
        ("a:" + "t" * 129, ""),
        ("a/" + "b" * 255, "repository name must not be more than 255 characters"),
        ("python@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("python@sha256:" + "A" * 64, "invalid checksum digest length"),
        ("python@md5:" + "a" * 32, "unsupported digest algorithm md5"),
        ("a" * 64, "a name cannot be a 64-character hexadecimal string"),
        ("python\n", ""),
    ],
)
def test_what_names_no_image_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference(text)
    assert str(caught.value).endswith(
        f"{text}: invalid reference format" + (f": {reason}" if reason else "")
    )


def test_a_reference_can_be_pinned() -> None:
    reference = parse_reference("a.b:1/c:2")
    assert reference == Reference(registry="a.b:1", repository="c", tag="2")
    assert reference.name == "a.b:1/c"
    assert reference.at(DIGEST).canonical == f"a.b:1/c:2@{DIGEST}"
