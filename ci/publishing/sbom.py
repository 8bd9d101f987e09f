"""The bill of materials of an image: what Trivy finds in it, as SPDX, and about its digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagger

from ci import execs
from ci.errors import InfrastructureError
from ci.execs import REPORTS, Check
from ci.stage import Context

FILE = "sbom.spdx.json"

_ROOTFS = "/rootfs"
_INVENTORY = Check(
    name="sbom",
    command=(
        *("trivy", "rootfs", "--format", "spdx-json", "--output", f"{REPORTS}/{FILE}"),
        *("--offline-scan", _ROOTFS),
    ),
)


async def inventory(
    context: Context, scanner: dagger.Container, image: dagger.Container
) -> dict[str, Any]:
    """All packages in an image, as the scanner's SPDX document.

    Raises InfrastructureError where the scanner gives none.
    """
    container = scanner.with_mounted_directory(_ROOTFS, image.rootfs())
    checked = await execs.run(context, container, _INVENTORY)
    try:
        document = json.loads((context.report / FILE).read_text())
        if checked.exit_code == 0 and document["packages"]:
            return dict(document)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InfrastructureError("Trivy gave no bill of materials for the image.", log=checked.log)


def about(document: dict[str, Any], repository: str, digest: str) -> dict[str, Any]:
    """The document as one about an image in a registry; the scanner only saw its files."""
    described = {
        relation["relatedSpdxElement"]
        for relation in document.get("relationships", ())
        if relation.get("relationshipType") == "DESCRIBES"
    }
    packages = [
        {**package, **_image(repository, digest)} if package["SPDXID"] in described else package
        for package in document["packages"]
    ]
    return {
        **document,
        "name": f"{repository}@{digest}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{repository}/{digest.replace(':', '-')}",
        "packages": packages,
    }


def write(document: dict[str, Any], folder: Path) -> None:
    """Keep the document as an artifact."""
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n")


def _image(repository: str, digest: str) -> dict[str, Any]:
    name = repository.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{digest.replace(':', '%3A')}?repository_url={repository}"
    return {
        "name": repository,
        "versionInfo": digest,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.partition(":")[2]}],
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ],
    }
