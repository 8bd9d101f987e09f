"""The image of a commit, pushed once, with what is said of it; a second run finds the work done."""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import Any

import dagger

from ci.connection import first_line
from ci.containers import NONCE, authorized
from ci.errors import BrewlineError, InfrastructureError, Refused
from ci.publishing import provenance, sbom
from ci.publishing.access import ask, denied
from ci.publishing.attestations import attest, form
from ci.publishing.cosign import sign_image
from ci.publishing.destination import Destination
from ci.publishing.images import (
    REVISION,
    SOURCE,
    Foreign,
    Published,
    read,
    require_no_stand_in,
)
from ci.publishing.promotion import digest_of, required
from ci.publishing.signature import PrivateKey, read_private
from ci.publishing.statement import PROVENANCE, SBOM, Statement
from ci.publishing.trust import expected
from ci.publishing.verification import Verdict, verify
from ci.source import read_git
from ci.stage import Context, Image
from ci.tags import commit_tag
from ci.versions import read_version
from engine.oci.reference import parse_reference
from engine.registry.repository import Repository
from engine.standins import STAND_IN_LABEL

_COPIES = {SBOM: "sbom.intoto.json", PROVENANCE: "provenance.intoto.json"}

MATERIALS = ("Dockerfile", "requirements/airflow.txt")

_DENIED = re.compile(
    r"\b40[13]\b|denied|unauthori[sz]ed|no basic auth|insufficient_scope|does not accept the user"
    r"|wants a login|failed to authorize",
    re.IGNORECASE,
)

_CURES = (
    (re.compile(r"\b405\b"), "is the registry read-only?"),
    (re.compile(r"\b5\d\d\b"), "its log tells why, as a full disk would be; then try again"),
)


async def earlier(context: Context, destination: Destination) -> Image | None:
    """The commit's image if it was published before and verifies, as `deploy` wants it to.

    What an earlier run left unfinished does not: it is pushed again. Raises Refused where the tag
    is on another commit's image.
    """
    tag = commit_tag(context.git)
    reference = parse_reference(destination.tagged(tag))
    wanted = expected(context, destination, loopback=destination.loopback)

    def look(repository: Repository) -> Verdict | None:
        try:
            image = read(repository, tag)
        except Foreign as error:
            raise Refused(f"{error}. Remove it first.") from None
        if image is None:
            return None
        commit = image.labels.get(REVISION)
        if commit != context.git.commit:
            raise Refused(
                f"{tag} is on an image of the commit {commit} already, whose name begins alike or "
                "which somebody else put there: remove it first."
            )
        return verify(repository, reference, wanted)

    verdict = await ask(destination, look, push=True)
    if verdict is None or verdict.failures:
        return None
    for kind, each in verdict.held.items():
        _keep(context, kind, each.content)
    return _image(destination, verdict.digest, tag)


async def publish(
    context: Context,
    destination: Destination,
    container: dagger.Container,
    *,
    document: dict[str, Any],
    started: dt.datetime,
) -> Image:
    """Push an image under its commit's tag and attach what is said of it.

    `document` is its bill of materials as the scanner wrote it; its build began at `started`.
    Raises Refused for an image on a stand-in, but not where the registry is this machine's own, and
    for one whose tree changed while it was built; InfrastructureError where another run was first.
    """
    if not destination.loopback:
        require_no_stand_in(await container.label(STAND_IN_LABEL) or "", "published")
    _require_unchanged(context)
    tag = commit_tag(context.git)
    if await earlier(context, destination):
        # What was looked into is not that image; the next try takes it and looks.
        raise InfrastructureError(f"Another run pushed {tag} while this one built it: run again.")
    context.say(f"push {destination.tagged(tag)}")
    digest = await _push(destination, container.with_(authorized(context)), tag)
    context.say("attach bill of materials and provenance")
    await _describe(context, destination, digest, document=document, started=started)
    return _image(destination, digest, tag)


def _require_unchanged(context: Context) -> None:
    """Raise Refused where the tree is another than the one that the run began with.

    The engine took its files in between, so that nobody knows whose they are.
    """
    now = read_git(context.root, os.environ)
    if now != context.git:
        what = f"see {now.changed}" if now.dirty else "git tells of another commit or branch"
        raise Refused(
            f"The tree changed while its image was built: {what}. Leave it alone during a run that "
            "publishes, and run again."
        )


async def _push(destination: Destination, container: dagger.Container, tag: str) -> str:
    """Push; the digest, as it is read back."""
    try:
        # What keeps a check from the cache is no part of the image.
        pushed = await container.without_env_variable(NONCE).publish(destination.tagged(tag))
    except dagger.QueryError as error:
        raise _not_pushed(error, destination) from error
    digest = pushed.rpartition("@")[2]
    there = await ask(destination, lambda repository: digest_of(repository, tag))
    if there != digest:
        raise InfrastructureError(
            f"{destination.tagged(tag)} was pushed as {digest}, and is read back as "
            f"{there or 'missing'}: the registry is not to be trusted with it."
        )
    return digest


async def _describe(
    context: Context,
    destination: Destination,
    digest: str,
    *,
    document: dict[str, Any],
    started: dt.datetime,
) -> None:
    """Attach bill of materials and provenance to a pushed image, and keep both as artifacts."""
    key = _key(destination)
    image = await ask(destination, lambda repository: required(repository, digest))
    bill = sbom.about(document, destination.repository, digest)
    built = await _built(context, image, started)
    statements = (
        _statement(destination, digest, SBOM, bill),
        _statement(destination, digest, PROVENANCE, provenance.predicate(built)),
    )
    for statement in statements:
        _keep(context, statement.predicate_type, form(statement, key)[1])

    def attach(repository: Repository) -> None:
        if key:
            sign_image(repository, destination.repository, digest, key)
        for statement in statements:
            attest(repository, image.manifest, statement, key)

    await ask(destination, attach, push=True)


def _keep(context: Context, kind: str, content: bytes) -> None:
    """Keep a copy of a statement as an artifact."""
    (context.report / _COPIES[kind]).write_bytes(content + b"\n")


async def _built(context: Context, image: Published, started: dt.datetime) -> provenance.Built:
    dockerfile = (context.root / "Dockerfile").read_text()
    return provenance.Built(
        source=image.labels.get(SOURCE, ""),
        commit=context.git.commit or "",
        branch=context.git.branch,
        version=read_version(context.root),
        builder=context.settings.workflow,
        engine=context.engine,
        run_id=context.run_id,
        started=started,
        finished=dt.datetime.now(dt.UTC),
        bases=[
            await context.client.container().from_(name).image_ref()
            for name in provenance.base_images(dockerfile)
        ],
        files=provenance.file_digests(context.root, MATERIALS),
    )


def _image(destination: Destination, digest: str, tag: str) -> Image:
    return Image(reference=f"{destination.repository}@{digest}", digest=digest, tags=(tag,))


def _statement(
    destination: Destination, digest: str, kind: str, predicate: dict[str, Any]
) -> Statement:
    return Statement(
        name=destination.repository, digest=digest, predicate_type=kind, predicate=predicate
    )


def _key(destination: Destination) -> PrivateKey | None:
    return read_private(destination.signing_key) if destination.signing_key else None


def _not_pushed(error: dagger.QueryError, destination: Destination) -> BrewlineError:
    if _DENIED.search(str(error)):
        return denied(destination.host)
    said = first_line(error)
    cure = next((cure for answer, cure in _CURES if answer.search(said)), "try again later")
    return InfrastructureError(f"The image was not pushed: {said}; {cure}.")
