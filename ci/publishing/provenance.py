"""How an image was made, as SLSA has it: https://slsa.dev/spec/v1.0/provenance."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Names, and no places: a tree need not know where its repository is. docs/publishing.md explains
# what a build of this type is told.
BUILD_TYPE = "urn:brewline:build-type:1"
BUILDER = "urn:brewline:builder:1"

_FROM = re.compile(
    r"^FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One build: of which commit of which repository, by whom, from what.

    `source` is the repository's URL and `builder` the workflow's, each "" where there is none;
    `bases` are references of images, pinned where that is known.
    """

    source: str
    commit: str
    branch: str | None
    version: str
    builder: str
    engine: str
    run_id: str
    started: dt.datetime
    finished: dt.datetime
    bases: Sequence[str]
    files: Mapping[str, str]


def predicate(built: Built) -> dict[str, Any]:
    """The predicate of the provenance statement."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                **({"source": built.source} if built.source else {}),
                "ref": f"refs/heads/{built.branch}" if built.branch else None,
                "dockerfile": "Dockerfile",
                "version": built.version,
            },
            "internalParameters": {"engine": built.engine},
            "resolvedDependencies": [
                _repository(built),
                *(_image(reference) for reference in built.bases),
                *_files(built.files),
            ],
        },
        "runDetails": {
            "builder": {"id": built.builder or _local_builder(built)},
            "metadata": {
                "invocationId": built.run_id,
                "startedOn": _moment(built.started),
                "finishedOn": _moment(built.finished),
            },
        },
    }


def commit_of(predicate: Mapping[str, Any]) -> str | None:
    """The commit that a provenance predicate names, or None."""
    return next(iter(_sources(predicate)), (None, None))[1]


def source_of(predicate: Mapping[str, Any]) -> str | None:
    """The repository's URL that a provenance predicate names, or None."""
    return next(iter(_sources(predicate)), (None, None))[0]


def builder_of(predicate: Mapping[str, Any]) -> str | None:
    """The builder that a provenance predicate names, or None."""
    try:
        return str(predicate["runDetails"]["builder"]["id"])
    except (KeyError, TypeError):
        return None


def base_images(dockerfile: str) -> tuple[str, ...]:
    """Names of the images that a Dockerfile is built from, each once."""
    found: list[str] = []
    stages: set[str] = set()
    for match in _FROM.finditer(dockerfile):
        name = match["image"]
        if name.lower() not in stages | {"scratch"} and name not in found:
            found.append(name)
        stages.add((match["stage"] or "").lower())
    return tuple(found)


def file_digests(root: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files of the repository."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def _repository(built: Built) -> dict[str, Any]:
    uri = {"uri": f"git+{built.source}"} if built.source else {}
    return {**uri, "digest": {"gitCommit": built.commit}}


def _local_builder(built: Built) -> str:
    """Whoever runs the program of the commit."""
    return f"git+{built.source}@{built.commit}#ci/main.py" if built.source else BUILDER


def _sources(predicate: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    try:
        listed = predicate["buildDefinition"]["resolvedDependencies"]
        return [
            (_url(entry.get("uri")), str(entry["digest"]["gitCommit"]))
            for entry in listed
            if "gitCommit" in entry.get("digest", {})
        ]
    except (KeyError, TypeError, AttributeError):
        return []


def _url(uri: object) -> str | None:
    return str(uri).removeprefix("git+") if uri else None


def _image(reference: str) -> dict[str, Any]:
    name, _, digest = reference.partition("@")
    found: dict[str, Any] = {"uri": f"docker://{name}"}
    algorithm, colon, value = digest.partition(":")
    return {**found, "digest": {algorithm: value}} if colon else found


def _files(files: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"uri": name, "digest": {"sha256": value}} for name, value in sorted(files.items())]


def _moment(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
