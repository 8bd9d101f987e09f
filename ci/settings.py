"""Settings that come from the environment: read here once, nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ci.environment import cache_folder
from ci.errors import UsageError
from ci.publishing.destination import Destination, named_file

PUBLIC_API = "https://api.openbrewerydb.org"

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """The mail server of the notify stage; the password stays out of every printed form."""

    host: str
    port: int
    user: str | None
    password: str | None
    sender: str
    recipients: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Smtp({self.host}:{self.port})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the environment may tell a run.

    `brewery_api` is the live source of the nightly run, `cache` the folder of what runs of this
    machine keep for each other.
    `workflow` and `source` are URLs on GitHub, empty elsewhere; without `destination` nothing is
    published.
    """

    github: bool
    brewery_csv: Path | None
    smtp: Smtp | None
    workflow: str = ""
    source: str = ""
    destination: Destination | None = None
    brewery_api: str = PUBLIC_API
    cache: Path = Path(os.devnull)

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, destination: Destination | None = None
    ) -> Self:
        """Settings of `environ`; raises UsageError for a value that cannot be meant."""
        return cls(
            github=environ.get("GITHUB_ACTIONS") == "true",
            workflow=_on_github("GITHUB_WORKFLOW_REF", environ),
            source=_on_github("GITHUB_REPOSITORY", environ),
            destination=destination,
            brewery_api=_api("BREWERY_API", environ) or PUBLIC_API,
            cache=cache_folder(environ),
            brewery_csv=named_file("BREWERY_CSV", environ),
            smtp=_smtp(environ),
        )


def _on_github(name: str, environ: Mapping[str, str]) -> str:
    """The URL of what a variable of GitHub names, or ""."""
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    return f"{server}/{environ[name]}" if environ.get(name) else ""


def _api(name: str, environ: Mapping[str, str]) -> str:
    """The URL of an API, spelt in one way, or ""; its version is the client's to add."""
    value = environ.get(name, "").strip()
    url = re.sub(r"(/v1)?/*$", "", value)
    if value and not _URL.fullmatch(url):
        raise UsageError(f"{name} is {value!r}: give a URL such as {PUBLIC_API}.")
    return url


def _smtp(environ: Mapping[str, str]) -> Smtp | None:
    """Mail settings, or None unless host, sender and recipients are all given."""
    host = environ.get("BREWLINE_SMTP_HOST")
    sender = environ.get("BREWLINE_SMTP_FROM")
    recipients = tuple(
        part.strip() for part in environ.get("BREWLINE_SMTP_TO", "").split(",") if part.strip()
    )
    if not (host and sender and recipients):
        return None
    port = environ.get("BREWLINE_SMTP_PORT") or "587"
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"BREWLINE_SMTP_PORT is {port!r}: give a port number such as 587.")
    return Smtp(
        host=host,
        port=int(port),
        user=environ.get("BREWLINE_SMTP_USER") or None,
        password=environ.get("BREWLINE_SMTP_PASSWORD") or None,
        sender=sender,
        recipients=recipients,
    )
