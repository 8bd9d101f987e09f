"""Base containers, and the steps that compose with `.with_()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ci.stage import Context

if TYPE_CHECKING:
    import dagger

PYTHON_IMAGE = "python:3.11-slim-bookworm"

Step = Callable[["dagger.Container"], "dagger.Container"]

# What the image is built from. Anything else in the tree may change without a new image.
IMAGE_SOURCE = (
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements/airflow.txt",
    "pipeline/**/*.py",
    "dags/**/*.py",
)


def image(context: Context) -> dagger.Container:
    """The product's image; the engine's memory makes it one build however many stages ask."""
    return context.source(*IMAGE_SOURCE).docker_build().with_(fresh(context))


def fresh(context: Context) -> Step:
    """Step after which nothing comes from the cache when `--no-cache` was given."""

    def step(container: dagger.Container) -> dagger.Container:
        if not context.nonce:
            return container
        return container.with_env_variable("BREWLINE_NONCE", context.nonce)

    return step
