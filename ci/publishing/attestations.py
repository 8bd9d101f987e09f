"""Statements as they are attached to an image: in an envelope where they are signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ci.publishing.referrers import Attachment, attach, attachments
from ci.publishing.signature import PrivateKey, PublicKey
from ci.publishing.statement import (
    ENVELOPE_TYPE,
    PAYLOAD_TYPE,
    Envelope,
    Malformed,
    Statement,
    read_envelope,
    read_statement,
    signed,
    to_be_signed,
)
from engine.registry.repository import Manifest, Repository

_PREDICATE_TYPE = "in-toto.io/predicate-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A statement that was found, and the envelope that it was in if any."""

    statement: Statement
    envelope: Envelope | None = None

    @property
    def content(self) -> bytes:
        """The document as it is kept."""
        return self.envelope.encoded() if self.envelope else self.statement.encoded()

    def signed_by(self, key: PublicKey) -> bool:
        """Whether one of its signatures is of this key."""
        if self.envelope is None:
            return False
        data = to_be_signed(self.envelope.payload)
        return any(key.accepts(value, data) for _, value in self.envelope.signatures)


def attest(
    repository: Repository, image: Manifest, statement: Statement, key: PrivateKey | None
) -> None:
    """Attach a statement to its image, signed if there is a key; once is enough."""
    for known in attested(repository, image.digest):
        if known.statement == statement and (key is None or known.signed_by(key.public)):
            return
    media_type, content = form(statement, key)
    annotations = {_PREDICATE_TYPE: statement.predicate_type}
    attach(
        repository,
        image,
        Attachment(media_type=media_type, content=content, annotations=annotations),
    )


def form(statement: Statement, key: PrivateKey | None) -> tuple[str, bytes]:
    """Media type and bytes of a statement as it is kept."""
    if key is None:
        return PAYLOAD_TYPE, statement.encoded()
    return ENVELOPE_TYPE, signed(statement.encoded(), key.public.id, key.sign).encoded()


def attested(repository: Repository, digest: str) -> Iterator[Attested]:
    """The statements attached to an image that can be read, whatever they say."""
    for found in attachments(repository, digest, (PAYLOAD_TYPE, ENVELOPE_TYPE)):
        try:
            if found.media_type == ENVELOPE_TYPE:
                envelope = read_envelope(found.content)
                statement = read_statement(envelope.payload)
                yield Attested(statement=statement, envelope=envelope)
            elif found.media_type == PAYLOAD_TYPE:
                yield Attested(statement=read_statement(found.content))
        except Malformed:
            continue
