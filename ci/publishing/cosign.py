"""A signature of an image in the form that `cosign verify --key` reads: the tag `sha256-<hex>.sig`.

See https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from ci.publishing.referrers import ODDITIES, REGISTRY_FAULTS, fallback_tag
from ci.publishing.signature import PrivateKey, PublicKey
from ci.publishing.statement import encoded
from engine.oci.image import CONFIG_TYPE
from engine.oci.manifest import MANIFEST_TYPE, checked_digest
from engine.registry.repository import Repository

_PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


def sign_image(repository: Repository, name: str, digest: str, key: PrivateKey) -> None:
    """Sign an image, beside what others signed; once is enough."""
    if image_signed_by(repository, digest, key.public):
        return
    payload = encoded(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    layer = {
        **_descriptor(_PAYLOAD_TYPE, payload),
        "annotations": {_SIGNATURE: base64.b64encode(key.sign(payload)).decode()},
    }
    layers = [*_layers(repository, digest), layer]
    config = encoded(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [entry["digest"] for entry in layers]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, config),
        "layers": layers,
    }
    for blob in (payload, config):
        if not repository.has_blob(_digest(blob)):
            repository.upload(_digest(blob), blob)
    repository.put_manifest(_tag(digest), MANIFEST_TYPE, encoded(manifest))


def image_signed_by(repository: Repository, digest: str, key: PublicKey) -> bool:
    """Whether one of the image's signatures is of this key, and over this digest."""
    for layer in _layers(repository, digest):
        try:
            payload = repository.small_blob(checked_digest(layer["digest"]))
            named = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
            signature = base64.b64decode(layer["annotations"][_SIGNATURE], validate=True)
        except REGISTRY_FAULTS:
            raise
        except ODDITIES:
            continue
        if named == digest and key.accepts(signature, payload):
            return True
    return False


def _layers(repository: Repository, digest: str) -> list[dict[str, Any]]:
    try:
        listed = json.loads(repository.manifest(_tag(digest)).data)["layers"]
        return [entry for entry in listed if entry.get("mediaType") == _PAYLOAD_TYPE]
    except REGISTRY_FAULTS:
        raise
    except ODDITIES:
        return []


def _tag(digest: str) -> str:
    return f"{fallback_tag(digest)}.sig"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
