"""Keys in PEM files: ECDSA on P-256 with SHA-256, as cosign has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UsageError

if TYPE_CHECKING:  # a library of native code, for those alone who sign or check
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

_MAKE_ONE = "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that signatures are checked by; `id` is the SHA-256 of its DER form."""

    id: str
    key: EllipticCurvePublicKey

    def accepts(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature over `data` was made by this key's other half."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self.key.verify(signature, data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A key that signs."""

    public: PublicKey
    key: EllipticCurvePrivateKey

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`, in DER."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return self.key.sign(data, ec.ECDSA(SHA256()))


def read_private(path: Path) -> PrivateKey:
    """The private key in a PEM file; raises UsageError for any other file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    other = f"The key in {path} is not one of ECDSA on P-256: {_MAKE_ONE}."
    try:
        key = load_pem_private_key(data, password=None)
    except UnsupportedAlgorithm:
        raise UsageError(other) from None
    except TypeError:
        raise UsageError(f"The key in {path} has a password: give one without.") from None
    except ValueError:
        raise UsageError(f"{path} holds no private key in PEM: {_MAKE_ONE}.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise UsageError(other)
    return PrivateKey(public=_public(key.public_key()), key=key)


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file, or that of a private one; raises UsageError for any other."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    if b"PRIVATE KEY" in data:
        return read_private(path).public
    other = f"The key in {path} is not one of ECDSA on P-256: name the signer's."
    try:
        key = load_pem_public_key(data)
    except UnsupportedAlgorithm:
        raise UsageError(other) from None
    except ValueError:
        raise UsageError(f"{path} holds no public key in PEM: name the signer's.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise UsageError(other)
    return _public(key)


def _public(key: EllipticCurvePublicKey) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(id=hashlib.sha256(der).hexdigest(), key=key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The key {path} cannot be read: {error.strerror}.") from None
