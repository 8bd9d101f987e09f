"""What can go wrong between the engine and a registry."""

from __future__ import annotations

from engine.errors import EngineError


class RegistryError(EngineError):
    """A registry that refuses, or that answers what it must not."""


class Unreachable(RegistryError):
    """The registry that an image names cannot be reached."""


class NotFound(RegistryError):
    """The registry does not have what was asked for."""


class Denied(RegistryError):
    """The registry does not let this user do what was asked for."""


class LoginWanted(Denied):
    """The registry does not let those do it whom it does not know, or does not have the image."""


class Untrue(RegistryError):
    """Content of another digest than the one that it is known by."""


class Interrupted(RegistryError):
    """What may work when it is tried again, in so many seconds if the registry names them."""

    def __init__(self, message: str, *, after: float = 0) -> None:
        super().__init__(message)
        self.after = after


class Busy(Interrupted):
    """An answer that says: not now."""


class Broken(Interrupted, Unreachable):
    """A connection that ended before the answer did."""


class Silent(Broken):
    """A connection on which nothing came for too long."""
