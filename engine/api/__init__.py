"""The resolvers of the API's fields, a module for each type."""

from __future__ import annotations


def load() -> None:
    """Register every resolver."""
    from engine.api import (  # noqa: F401 - importing them registers them
        address,
        changes,
        container,
        container_config,
        container_facts,
        container_mounts,
        directory,
        env_file,
        file,
        host,
        image,
        json_value,
        query,
        refused,
        search,
        service,
        terminal,
        values,
    )
