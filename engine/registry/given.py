"""The logins that a program gave to a container, before those of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model import Container
from engine.registry.credentials import Credentials, Login, configuration, host_of

if TYPE_CHECKING:
    from engine.session import Session


def credentials_of(session: Session, container: Container) -> Credentials:
    """Who asks on behalf of a container. Raises EngineError if a secret cannot be read."""
    given = {
        host_of(address): Login(username=username, password=session.plaintext(secret))
        for address, username, secret in container.registry_auth
    }
    return Credentials(given, configuration())
