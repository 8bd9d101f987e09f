"""Whether an image is what it is said to be: digest, tags, bill of materials, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci.publishing.attestations import Attested, attested
from ci.publishing.images import REVISION, SOURCE, Published, read
from ci.publishing.promotion import digest_of
from ci.publishing.provenance import builder_of, commit_of, source_of
from ci.publishing.signature import PublicKey
from ci.publishing.statement import PROVENANCE, SBOM
from engine.oci.reference import Reference
from engine.registry.errors import Denied, Interrupted, RegistryError, Unreachable
from engine.registry.repository import Repository

_KINDS = {SBOM: "bill of materials", PROVENANCE: "provenance"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an image must be; None is not looked at. `loopback` lets stand-ins pass."""

    commit: str | None = None
    source: str | None = None
    key: PublicKey | None = None
    loopback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found: `failures` are sentences; without one the image is to be trusted."""

    digest: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()


def verify(repository: Repository, reference: Reference, expected: Expected) -> Verdict:
    """Look at an image and all that is attached to it.

    Raises RegistryError where the registry cannot be asked; one that lies is a failure.
    """
    try:
        image = read(repository, reference.digest or reference.tag)
        if image is None:
            return Verdict(failures=(f"There is no image {reference.familiar}.",))
        found = list(attested(repository, image.digest))
        failures = [
            *_tags(repository, reference, image),
            *_labels(image, expected),
            *_statements(image, found, expected),
        ]
    except (Denied, Interrupted, Unreachable):
        raise
    except RegistryError as error:
        return Verdict(failures=(f"The registry contradicts itself: {error}.",))
    facts = _facts(image, found, expected)
    return Verdict(digest=image.digest, facts=facts, failures=tuple(failures))


def _tags(repository: Repository, reference: Reference, image: Published) -> list[str]:
    """The tag that was given, and that of the commit, are on this very image."""
    commit = image.labels.get(REVISION, "")
    wanted = [reference.tag] if reference.tag and reference.digest else []
    wanted += [f"sha-{commit[:7]}"] if commit else []
    found = {tag: digest_of(repository, tag) for tag in wanted}
    return [
        f"The tag {tag} is {f'on {there}' if there else 'missing'}, not on this image."
        for tag, there in found.items()
        if there != image.digest
    ]


def _labels(image: Published, expected: Expected) -> list[str]:
    failures = []
    if image.stand_in and not expected.loopback:
        failures.append(f"It stands on a stand-in for {image.stand_in}.")
    commit, source = image.labels.get(REVISION), image.labels.get(SOURCE)
    if not commit:
        failures.append("Its labels name no commit.")
    elif expected.commit and commit != expected.commit:
        failures.append(f"Its labels name the commit {commit}, not {expected.commit}.")
    if expected.source and source != expected.source:
        failures.append(f"Its labels name the repository {source}, not {expected.source}.")
    return failures


def _statements(image: Published, found: Sequence[Attested], expected: Expected) -> list[str]:
    """Of each kind one statement that holds is enough: anybody can attach more."""
    failures = []
    for kind, name in _KINDS.items():
        faults = [
            _fault(each, image, expected) for each in found if each.statement.predicate_type == kind
        ]
        if not faults:
            failures.append(f"There is no {name} attached.")
        elif all(faults):
            failures.append(f"The {name} {faults[0]}.")
    return failures


def _fault(found: Attested, image: Published, expected: Expected) -> str:
    """What is wrong with a statement, or ""."""
    statement, commit = found.statement, image.labels.get(REVISION)
    if statement.digest != image.digest:
        return f"is about {statement.digest}"
    if expected.key and found.envelope is None:
        return "is not signed"
    if expected.key and not found.signed_by(expected.key):
        return f"is not signed by the key {expected.key.id[:12]}"
    if statement.predicate_type == SBOM:
        return "" if statement.predicate.get("packages") else "lists no packages"
    if commit_of(statement.predicate) != commit:
        return f"names the commit {commit_of(statement.predicate)}, not {commit}"
    source = expected.source or image.labels.get(SOURCE)
    if source and source_of(statement.predicate) != source:
        return f"names the repository {source_of(statement.predicate)}, not {source}"
    return ""


def _facts(
    image: Published, found: Sequence[Attested], expected: Expected
) -> tuple[tuple[str, str], ...]:
    facts = [("commit", image.labels.get(REVISION, "unknown"))]
    for each in found:
        if _fault(each, image, expected):
            continue
        predicate = each.statement.predicate
        if each.statement.predicate_type == SBOM:
            facts.append(("packages", str(len(predicate["packages"]))))
        elif each.statement.predicate_type == PROVENANCE:
            facts += [
                ("source", str(source_of(predicate))),
                ("builder", str(builder_of(predicate))),
            ]
    if expected.key:
        facts.append(("signatures", f"by the key {expected.key.id[:12]}"))
    else:
        some = any(each.envelope for each in found)
        facts.append(("signatures", "not checked: name a key with --key" if some else "none"))
    return tuple(facts)
