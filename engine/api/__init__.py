"""The resolvers of the API's fields, a module for each type or group of fields."""

from __future__ import annotations


def load_ordinary() -> None:
    """Register the fields that nearly every program asks for."""
    from engine.api import (  # noqa: F401 - importing them registers them
        container,
        container_config,
        container_facts,
        container_mounts,
        directory,
        file,
        host,
        query,
        refused,
        service,
    )


def load() -> None:
    """Register every field, and why some are refused."""
    load_ordinary()
    from engine.api import (  # noqa: F401 - as above
        address,
        changes,
        env_file,
        git,
        healthcheck,
        image,
        json_value,
        search,
        terminal,
        values,
    )
