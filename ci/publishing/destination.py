"""Where a run publishes to, as whom, and whether it may: decided once, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.errors import Refused, UsageError
from ci.publishing.signature import read_private, read_public
from ci.source import Git
from ci.tags import GITHUB_REGISTRY

LOGIN = ("BREWLINE_REGISTRY_USER", "BREWLINE_REGISTRY_PASSWORD")
"""The variables with the login of the registry that `--registry` names."""

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A repository of a registry; without `user` the Docker configuration says as whom.

    `signing_key` is a PEM file, None where statements are not signed here; `trusted_key` is that
    of the key by which they must be signed, None where any will do.
    """

    repository: str
    user: str = ""
    password: str = field(default="", repr=False)
    signing_key: Path | None = None
    trusted_key: Path | None = None

    @property
    def host(self) -> str:
        """The registry's `host:port`."""
        return self.repository.partition("/")[0]

    @property
    def loopback(self) -> bool:
        """Whether the registry is this machine's own."""
        host = self.host if self.host.endswith("]") else self.host.rsplit(":", 1)[0]
        return host in _LOOPBACK

    def tagged(self, tag: str) -> str:
        """The reference of a tag there."""
        return f"{self.repository}:{tag}"


def acts(asked: bool, environ: Mapping[str, str]) -> bool:
    """Whether a run publishes: when asked to, and on GitHub where it was given a login."""
    if asked:
        return True
    on_github = environ.get("GITHUB_ACTIONS") == "true"
    return on_github and not is_pull_request(environ) and any(login(GITHUB_REGISTRY, environ))


def is_pull_request(environ: Mapping[str, str]) -> bool:
    """Whether GitHub runs this for a pull request or a queue of them: nothing is merged yet."""
    event, ref = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_REF", "")
    return event.startswith(("pull_request", "merge_group")) or ref.startswith("refs/pull/")


def login(host: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """User and password for a registry in the environment, or two empty texts.

    Raises UsageError where only one of the two is there. GitHub's token is for GitHub alone.
    """
    user, password = (environ.get(name, "") for name in LOGIN)
    if bool(user) != bool(password):
        given, lacking = ("USER", "PASSWORD") if user else ("PASSWORD", "USER")
        raise UsageError(
            f"BREWLINE_REGISTRY_{given} is set and BREWLINE_REGISTRY_{lacking} is not: "
            "set both or neither."
        )
    if not user and host == GITHUB_REGISTRY and environ.get("GITHUB_TOKEN"):
        return environ.get("GITHUB_ACTOR") or "github", environ["GITHUB_TOKEN"]
    return user, password


def destination(repository: str, environ: Mapping[str, str]) -> Destination:
    """Where images of `repository` go; raises UsageError for a setting that cannot be meant."""
    host = repository.partition("/")[0]
    user, password = login(host, environ)
    signing_key = named_file("BREWLINE_SIGNING_KEY", environ)
    return Destination(
        repository=repository,
        user=user,
        password=password,
        signing_key=signing_key,
        trusted_key=named_file("BREWLINE_VERIFY_KEY", environ) or signing_key,
    )


def require_keys(destination: Destination) -> None:
    """Raise UsageError where the key that signs, or the one that is trusted, cannot be used.

    What is signed by another key than the trusted one would never verify.
    """
    signing = read_private(destination.signing_key) if destination.signing_key else None
    trusted = read_public(destination.trusted_key) if destination.trusted_key else None
    if signing and trusted and signing.public.id != trusted.id:
        raise UsageError(
            "BREWLINE_VERIFY_KEY is not the public half of BREWLINE_SIGNING_KEY: name its own, or "
            "unset it."
        )


def require_publishable(git: Git, environ: Mapping[str, str]) -> None:
    """Raise Refused for what must not be pushed: a pull request, and what no commit holds."""
    if is_pull_request(environ):
        raise Refused("A pull request publishes nothing: leave --publish out.")
    if git.commit is None:
        raise Refused("There is no commit to name the image after: publish from a git checkout.")
    git.require_clean("publishing")


def named_file(name: str, environ: Mapping[str, str]) -> Path | None:
    """The file that a variable names, or None; raises UsageError where there is none."""
    named = environ.get(name)
    if not named:
        return None
    path = Path(named).resolve()
    if not os.path.isfile(path):  # Python 3.11's own raises where a folder may not be entered
        raise UsageError(f"{name} names {named}, which is not a file: correct it or unset it.")
    return path
