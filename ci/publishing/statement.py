"""in-toto statements about an image, and the DSSE envelopes in which they are signed.

See https://in-toto.io/Statement/v1 and https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"

PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://spdx.dev/Document"

Sign = Callable[[bytes], bytes]


class Malformed(ValueError):
    """Raised for what is no statement or envelope; its text completes "the statement …"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is said of one image."""

    name: str
    digest: str
    predicate_type: str
    predicate: Mapping[str, Any]

    def encoded(self) -> bytes:
        """The statement as JSON; the same statement is the same bytes."""
        algorithm, _, value = self.digest.partition(":")
        return encoded(
            {
                "_type": STATEMENT,
                "subject": [{"name": self.name, "digest": {algorithm: value}}],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A statement with signatures, each with the id of its key."""

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def encoded(self) -> bytes:
        """The envelope as JSON."""
        signatures = [{"keyid": key, "sig": _base64(value)} for key, value in self.signatures]
        return encoded(
            {
                "payloadType": PAYLOAD_TYPE,
                "payload": _base64(self.payload),
                "signatures": signatures,
            }
        )


def signed(statement: bytes, key_id: str, sign: Sign) -> Envelope:
    """The statement in an envelope with one signature."""
    return Envelope(payload=statement, signatures=((key_id, sign(to_be_signed(statement))),))


def to_be_signed(payload: bytes) -> bytes:
    """What a signature is over: type and payload with their lengths, so that neither can move."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def read_statement(data: bytes) -> Statement:
    """The statement in a JSON text, about its first subject. Raises Malformed."""
    table = _object(data)
    try:
        subject, *_ = table["subject"]
        (algorithm, value), *_ = sorted(subject["digest"].items())
        return Statement(
            name=str(subject.get("name", "")),
            digest=f"{algorithm}:{value}",
            predicate_type=str(table["predicateType"]),
            predicate=dict(table["predicate"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("lacks what every statement has") from None


def read_envelope(data: bytes) -> Envelope:
    """The envelope in a JSON text. Raises Malformed."""
    table = _object(data)
    if table.get("payloadType") != PAYLOAD_TYPE:
        raise Malformed("is of another type than in-toto's")
    try:
        return Envelope(
            payload=base64.b64decode(table["payload"], validate=True),
            signatures=tuple(
                (str(entry.get("keyid", "")), base64.b64decode(entry["sig"], validate=True))
                for entry in table["signatures"]
            ),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Malformed("lacks what every envelope has") from None


def encoded(table: Mapping[str, Any]) -> bytes:
    """JSON in the one form that gives equal documents equal digests."""
    return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()


def _object(data: bytes) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("is no JSON") from None
    if not isinstance(table, dict):
        raise Malformed("is no JSON object")
    return table


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
