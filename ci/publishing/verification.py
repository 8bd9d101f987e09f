"""Whether an image is what it is said to be: digest, tags, bill of materials, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ci.publishing.attestations import Attested, attested
from ci.publishing.cosign import image_signed_by
from ci.publishing.images import REVISION, SOURCE, Foreign, Published, read
from ci.publishing.promotion import digest_of
from ci.publishing.provenance import builder_of, commit_of, source_of
from ci.publishing.signature import PublicKey
from ci.publishing.statement import PROVENANCE, SBOM
from engine.oci.reference import DEFAULT_TAG, Reference
from engine.registry.errors import Untrue
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
    """What was found: `failures` are sentences; without one the image is to be trusted.

    `held` are the statements that hold, one of each type of predicate.
    """

    digest: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()
    held: Mapping[str, Attested] = field(default_factory=dict)


def verify(repository: Repository, reference: Reference, expected: Expected) -> Verdict:
    """Look at an image and all that is attached to it.

    Raises RegistryError where the registry cannot be asked; one that lies is a failure.
    """
    try:
        image = read(repository, reference.digest or reference.tag or DEFAULT_TAG)
        if image is None:
            return Verdict(failures=(f"There is no image {reference.familiar}.",))
        found = list(attested(repository, image.digest))
        failures = [
            *_tags(repository, reference, image),
            *_labels(image, expected),
            *_signature(repository, image, expected),
            *_statements(image, found, expected),
        ]
    except Foreign as error:
        return Verdict(failures=(f"{error}.",))
    except Untrue as error:
        return Verdict(failures=(f"The registry contradicts itself: {error}.",))
    held = {
        each.statement.predicate_type: each
        for each in reversed(found)
        if each.statement.predicate_type in _KINDS and not _fault(each, image, expected)
    }
    facts = [("commit", image.labels.get(REVISION, "unknown")), *_facts(held)]
    facts.append(("signatures", _signed(found, expected, failed=bool(failures))))
    return Verdict(digest=image.digest, facts=tuple(facts), failures=tuple(failures), held=held)


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
        named = _named("repository", source)
        failures.append(f"Its labels name {named}, not {expected.source}.")
    return failures


def _signature(repository: Repository, image: Published, expected: Expected) -> list[str]:
    """The signature of the image itself, which `cosign verify --key` reads."""
    if expected.key is None or image_signed_by(repository, image.digest, expected.key):
        return []
    return [f"The image is not signed by the key {expected.key.id[:12]}."]


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
        packages = statement.predicate.get("packages")
        return "" if packages and isinstance(packages, list) else "lists no packages"
    if commit_of(statement.predicate) != commit:
        return f"names {_named('commit', commit_of(statement.predicate))}, not {commit}"
    source = expected.source or image.labels.get(SOURCE)
    if source and source_of(statement.predicate) != source:
        return f"names {_named('repository', source_of(statement.predicate))}, not {source}"
    return ""


def _named(kind: str, name: str | None) -> str:
    return f"the {kind} {name}" if name else f"no {kind}"


def _facts(held: Mapping[str, Attested]) -> Iterator[tuple[str, str]]:
    if SBOM in held:
        yield "packages", str(len(held[SBOM].statement.predicate["packages"]))
    if PROVENANCE in held:
        predicate = held[PROVENANCE].statement.predicate
        yield "source", source_of(predicate) or "unknown"
        yield "builder", builder_of(predicate) or "unknown"


def _signed(found: Sequence[Attested], expected: Expected, *, failed: bool) -> str:
    if expected.key:
        return f"{'not all ' if failed else ''}by the key {expected.key.id[:12]}"
    some = any(each.envelope for each in found)
    return "not checked: name a key with --key" if some else "none"
