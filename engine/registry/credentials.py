"""As whom a registry is asked: what the program gave, or what `docker login` left.

The Docker configuration is `config.json` in DOCKER_CONFIG or `~/.docker`, with `auths`,
`credHelpers` and `credsStore`; see the manual of `docker login`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ProcessError
from engine.oci.reference import DEFAULT_REGISTRY, parse_reference
from engine.process import ask
from engine.registry.errors import RegistryError

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = (DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io")
_HELPER_SECONDS = 30
_NOTHING_KEPT = "credentials not found"
_IS_TOKEN = "<token>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who asks: a user with a password, or a token that stands for both."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""


def host_of(address: str) -> str:
    """The registry that `address` means: a host, a URL of one, or an image."""
    address = address.removeprefix("https://").removeprefix("http://").rstrip("/")
    first, slash, _ = address.partition("/")
    if address in _HUB_NAMES or first in _HUB_NAMES:
        return DEFAULT_REGISTRY
    if not slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return parse_reference(address).registry


def configuration(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the Docker configuration is."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


class Credentials:
    """The logins for registries, those that were `given` before those of the configuration."""

    def __init__(self, given: Mapping[str, Login], file: Path) -> None:
        self._given = given
        self._file = file

    def of(self, host: str) -> Login | None:
        """The login for a registry. Raises RegistryError if it cannot be found out."""
        if host in _HUB_NAMES:
            host = DEFAULT_REGISTRY
        if host in self._given:
            return self._given[host]
        table = self._read()
        helpers = table.get("credHelpers") or {}
        helper = helpers.get(host) or helpers.get(_key(host)) or table.get("credsStore")
        kept = _helped(str(helper), _key(host)) if helper else None
        return kept or self._listed(table, host)

    def _read(self) -> dict[str, Any]:
        try:
            table = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RegistryError(f"{self._file} cannot be read: {error}") from None
        if not isinstance(table, dict):
            raise RegistryError(f"{self._file} cannot be read: it is no JSON object")
        return table

    def _listed(self, table: dict[str, Any], host: str) -> Login | None:
        for key, entry in (table.get("auths") or {}).items():
            name = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
            name = DEFAULT_REGISTRY if name in _HUB_NAMES else name
            if name == host and entry:
                return self._login(host, entry)
        return None

    def _login(self, host: str, entry: dict[str, Any]) -> Login | None:
        username, password = str(entry.get("username", "")), str(entry.get("password", ""))
        if entry.get("auth"):
            try:
                plain = base64.b64decode(entry["auth"], validate=True).decode()
            except ValueError:
                raise RegistryError(f"{self._file}: the login for {host} is damaged") from None
            username, _, password = plain.rstrip("\0").partition(":")
        made = Login(
            username=username,
            password=password,
            identity_token=str(entry.get("identitytoken", "")),
            registry_token=str(entry.get("registrytoken", "")),
        )
        return None if made == Login() else made


def _key(host: str) -> str:
    return _HUB_KEY if host == DEFAULT_REGISTRY else host


def _helped(name: str, key: str) -> Login | None:
    """What the credential helper `docker-credential-NAME` keeps for `key`."""
    program = f"docker-credential-{name}"
    try:
        said = json.loads(ask(program, "get", stdin=key.encode(), timeout=_HELPER_SECONDS))
        username, secret = str(said["Username"]), str(said["Secret"])
    except ProcessError as error:
        if _NOTHING_KEPT in error.output:
            return None
        raise RegistryError(
            f"{program}, which the Docker configuration names, failed: {error.output.strip()}"
        ) from None
    except (ValueError, KeyError, TypeError):
        # Not what it said: there may be a password in it.
        raise RegistryError(f"{program} gave no answer that could be understood") from None
    if username == _IS_TOKEN:
        return Login(identity_token=secret)
    return Login(username=username, password=secret)
