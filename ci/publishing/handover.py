"""What the steps of GitHub's own workflow need to know of a run: its image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ci.stage import Image


def hand_over(image: Image, environ: Mapping[str, str]) -> None:
    """Tell later steps `image` (a repository) and `digest`, where GitHub gave a file for it."""
    file = environ.get("GITHUB_OUTPUT")
    if file and image.published:
        repository = image.reference.partition("@")[0]
        with Path(file).open("a") as output:
            output.write(f"image={repository}\ndigest={image.digest}\n")
