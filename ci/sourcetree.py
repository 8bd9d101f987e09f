"""Which files of the repository enter containers: allow-lists, so that cache keys stay stable."""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("ci", "engine", "pipeline", "dags", "images", "benchmarks", "tests")

# Python only: a note or a log in a folder re-runs nothing.
CODE = tuple(f"{folder}/**/*.py" for folder in FOLDERS)


def folders_with_code(root: Path) -> tuple[str, ...]:
    """The folders that hold Python."""
    return tuple(folder for folder in FOLDERS if any((root / folder).rglob("*.py")))


CONFIGURATION = ("pyproject.toml", ".flake8")

# Tests read recipes, cases, the stack and the workflows too.
TESTED = (
    *(f"{folder}/**" for folder in FOLDERS),
    *CONFIGURATION,
    ".ci/**",
    ".dockerignore",
    ".github/**",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "compose.yaml",
    "deploy/**",
    "docs/**",
    "requirements/**",
)

# What the image is built from. Anything else in the tree may change without a new image.
IMAGE_SOURCE = (
    "Dockerfile",
    ".dockerignore",
    "requirements/airflow.txt",
    "pipeline/**/*.py",
    "dags/**/*.py",
    "dags/.airflowignore",
)
