"""What the services of a stack were started with, to be read by whoever looks for a reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from ci.compose.types import Compose, Service

# What ends in _FILE tells where a secret is, not what it is.
_SECRET = re.compile(r"(?!.*_FILE$).*(PASS|SECRET|TOKEN|KEY|CONN_|CREDENTIAL)", re.IGNORECASE)
# The password of a URL such as postgresql://user:password@host.
_IN_URL = re.compile(r"(?<=://)([^:@/\s]*):[^@\s]*@")
_HIDDEN = "***"


def configuration(compose: Compose) -> dict[str, Any]:
    """Image, command, environment and needs of each service; no value of a secret is in it."""
    services = compose.services.values()
    # One service's secret may stand in another's command.
    secrets = {
        value
        for service in services
        for name, value in service.environment.items()
        if value and _secret(name)
    }
    return {service.name: _described(service, secrets) for service in services}


def _described(service: Service, secrets: Collection[str]) -> dict[str, Any]:
    def words(given: Sequence[str] | None) -> list[str] | None:
        return None if given is None else [_without(secrets, word) for word in given]

    return {
        "image": service.image,
        "built": service.build is not None,
        "entrypoint": words(service.entrypoint),
        "command": words(service.command),
        "environment": {
            name: _HIDDEN if value and _secret(name) else _without(secrets, value)
            for name, value in sorted(service.environment.items())
        },
        "depends_on": {need.service: str(need.condition) for need in service.depends_on},
        "healthcheck": service.healthcheck and words(service.healthcheck.command),
        "volumes": {mount.target: mount.source for mount in service.mounts},
    }


def _secret(name: str) -> bool:
    return _SECRET.match(name) is not None


def _without(secrets: Collection[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return _IN_URL.sub(rf"\1:{_HIDDEN}@", text)
