"""Work in a repository of a registry, in a thread, and what its refusals mean for a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from ci.errors import InfrastructureError, UsageError
from ci.publishing.destination import Destination
from engine.oci.reference import InvalidReference, parse_reference
from engine.registry import places
from engine.registry.credentials import Credentials, Login, configuration
from engine.registry.errors import (
    Busy,
    Denied,
    LoginWanted,
    NotFound,
    RegistryError,
    Unreachable,
    Untrue,
)
from engine.registry.repository import Repository
from engine.registry.transport import Limits, Transport
from engine.stop import Stop, in_thread

T = TypeVar("T")


async def ask(
    destination: Destination,
    work: Callable[[Repository], T],
    *,
    push: bool = False,
    limits: Limits | None = None,
) -> T:
    """What `work` comes to in the destination's repository; a cancelled wait ends it.

    Raises InfrastructureError, in one sentence, for whatever the registry does not do.
    """

    def in_repository(stop: Stop) -> T:
        transport = Transport(stop, limits)
        try:
            reference = parse_reference(destination.repository)
            place = places.to_push(reference, places.files())
            login = _credentials(destination).of(place.host)
            return work(Repository(transport, place, login, push=push))
        except InvalidReference as error:
            raise UsageError(f"{destination.repository} is no repository: {error}.") from None
        except RegistryError as error:
            raise translated(error, destination.host) from error
        finally:
            transport.close()

    return await in_thread(in_repository)


def require_login(destination: Destination, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError where nothing says as whom a registry of others is to be asked."""
    if destination.loopback or destination.user:
        return
    try:
        kept = _credentials(destination, environ).of(destination.host)
    except RegistryError as error:
        raise InfrastructureError(f"{error}.") from None
    if kept is None:
        raise UsageError(f"There are no credentials for {destination.host}: {_cure(destination)}.")


def translated(error: RegistryError, host: str) -> InfrastructureError:
    """What a registry did, and what to do about it."""
    said = str(error).rstrip(".")
    if isinstance(error, LoginWanted):
        return InfrastructureError(
            f"{host} wants a login, or has no such image: check the name, or log in "
            f"({_VARIABLES} with --registry {host}, or `docker login {host}`).",
            lasting=True,
        )
    if isinstance(error, Denied):
        return denied(host)
    if isinstance(error, Busy):
        return InfrastructureError(f"{said}; try again later.", lasting=True)
    if isinstance(error, Unreachable):
        return InfrastructureError(f"The registry did not answer: {said}; check the network.")
    if isinstance(error, NotFound):
        return InfrastructureError(f"The registry lacks what it should have: {said}.")
    if isinstance(error, Untrue):
        return InfrastructureError(f"The registry cannot be trusted with this: {said}.")
    return InfrastructureError(f"The registry cannot be used for this: {said}.")


def denied(host: str) -> InfrastructureError:
    """The error for a login that a registry does not accept."""
    return InfrastructureError(
        f"{host} does not accept the login, or does not let it do this: check that it has not "
        f"expired and may write packages ({_VARIABLES}, or `docker login {host}`).",
        lasting=True,
    )


_VARIABLES = "BREWLINE_REGISTRY_USER and BREWLINE_REGISTRY_PASSWORD"


def _cure(destination: Destination) -> str:
    return f"set {_VARIABLES}, or run `docker login {destination.host}`"


def _credentials(destination: Destination, environ: Mapping[str, str] = os.environ) -> Credentials:
    given = {}
    if destination.user:
        login = Login(username=destination.user, password=destination.password)
        given[destination.host] = login
    return Credentials(given, configuration(environ))
