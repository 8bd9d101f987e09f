"""The image of a commit, pushed once, with what is said of it; a second run finds the work done."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import dagger

from ci.connection import first_line
from ci.containers import NONCE, authorized
from ci.errors import BrewlineError, InfrastructureError, Refused
from ci.publishing import provenance, sbom
from ci.publishing.access import ask, denied
from ci.publishing.attestations import attest, attested, form
from ci.publishing.cosign import sign_image
from ci.publishing.destination import Destination
from ci.publishing.images import REVISION, SOURCE, Published, read, require_no_stand_in
from ci.publishing.promotion import digest_of, required
from ci.publishing.signature import PrivateKey, read_private
from ci.publishing.statement import PROVENANCE, SBOM, Statement
from ci.stage import Context, Image
from ci.tags import commit_tag
from ci.versions import read_version
from engine.registry.repository import Repository
from engine.standins import STAND_IN_LABEL

MATERIALS = ("Dockerfile", "requirements/airflow.txt")

_DENIED = re.compile(
    r"\b40[13]\b|denied|unauthori[sz]ed|no basic auth|insufficient_scope|does not accept the user"
    r"|wants a login|failed to authorize",
    re.IGNORECASE,
)


async def earlier(context: Context, destination: Destination) -> Image | None:
    """The commit's image if it was published before with all that belongs to it.

    What an earlier run left unfinished does not count: it is pushed again. Its provenance is
    attached last, so that an image with one (signed, where there is a key) is complete. Raises
    Refused where the tag is on another commit's image.
    """
    key, tag = _key(destination), commit_tag(context.git)

    def look(repository: Repository) -> str | None:
        image = read(repository, tag)
        if image is None:
            return None
        commit = image.labels.get(REVISION)
        if commit != context.git.commit:
            raise Refused(
                f"{tag} is on an image of the commit {commit} already, whose name begins alike or "
                "which somebody else put there: remove it first."
            )
        for found in attested(repository, image.digest):
            ours = key is None or found.signed_by(key.public)
            about = (found.statement.predicate_type, found.statement.digest)
            if ours and about == (PROVENANCE, image.digest):
                return image.digest
        return None

    digest = await ask(destination, look, push=True)
    return _image(destination, digest, tag) if digest else None


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
    Raises Refused for an image on a stand-in, but not where the registry is this machine's own.
    """
    if not destination.loopback:
        require_no_stand_in(await container.label(STAND_IN_LABEL) or "", "published")
    tag = commit_tag(context.git)
    context.say(f"push {destination.tagged(tag)}")
    digest = await _push(destination, container.with_(authorized(context)), tag)
    context.say("attach bill of materials and provenance")
    await _describe(context, destination, digest, document=document, started=started)
    return _image(destination, digest, tag)


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
    """Attach bill of materials and provenance to a pushed image, and keep them as artifacts."""
    key = _key(destination)
    image = await ask(destination, lambda repository: required(repository, digest))
    bill = sbom.about(document, destination.repository, digest)
    sbom.write(bill, context.report)
    built = await _built(context, destination, image, started)
    statements = (
        _statement(destination, digest, SBOM, bill),
        _statement(destination, digest, PROVENANCE, provenance.predicate(built)),
    )
    for name, statement in zip(("sbom", "provenance"), statements, strict=True):
        _, content = form(statement, key)
        (context.report / f"{name}.intoto.json").write_bytes(content + b"\n")

    def attach(repository: Repository) -> None:
        if key:
            sign_image(repository, destination.repository, digest, key)
        for statement in statements:
            attest(repository, image.manifest, statement, key)

    await ask(destination, attach, push=True)


async def _built(
    context: Context, destination: Destination, image: Published, started: dt.datetime
) -> provenance.Built:
    source = image.labels.get(SOURCE) or f"https://{destination.repository}"
    commit = context.git.commit or ""
    dockerfile = (context.root / "Dockerfile").read_text()
    return provenance.Built(
        source=source,
        commit=commit,
        branch=context.git.branch,
        version=read_version(context.root),
        builder=context.settings.workflow or f"{source}/blob/{commit}/ci/main.py",
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
    return InfrastructureError(f"The image was not pushed: {first_line(error)}.")
