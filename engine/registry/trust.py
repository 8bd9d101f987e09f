"""Which certificates of registries are believed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from engine.registry.errors import RegistryError

_HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
"""Where Docker and the containers tools look, for each `host:port`, for authorities (`*.crt`)
and for a client's certificate (`*.cert`) with its key (`*.key`)."""


def context(host: str, *, verify: bool, folders: Sequence[Path] = FOLDERS) -> ssl.SSLContext:
    """How TLS is spoken with `host`, as an image's name has it.

    Believed are the authorities of SSL_CERT_FILE and SSL_CERT_DIR, of the machine, and of the
    host's folder. Raises RegistryError for a file there that cannot be used.
    """
    made = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE") and _HOST_BUNDLE.exists():
        made.load_verify_locations(_HOST_BUNDLE)  # a Python of its own has none
    # Companies' own authorities often lack what Python 3.13 began to insist on; Docker does not.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for folder in folders:
        _load(made, folder / host)
    return made


def _load(made: ssl.SSLContext, folder: Path) -> None:
    for file in sorted(folder.glob("*.c*rt")):
        try:
            if file.suffix == ".crt":
                made.load_verify_locations(file)
            elif file.suffix == ".cert":
                made.load_cert_chain(file, file.with_suffix(".key"))
        except OSError as error:
            raise RegistryError(f"{file} cannot be used: {error.strerror or error}") from None
