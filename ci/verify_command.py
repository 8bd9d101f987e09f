"""`verify IMAGE`: whether a published image is what it is said to be, told check by check."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio

from ci.command_line import Options
from ci.errors import Failure, UsageError
from ci.publishing.access import ask
from ci.publishing.destination import LOGIN, destination
from ci.publishing.signature import read_public
from ci.publishing.verification import Expected, Verdict, verify
from ci.settings import Settings
from engine.oci.reference import InvalidReference, parse_reference


def main(options: Options, root: Path) -> int:
    """Verify the image that the command line names; returns the exit code."""
    try:
        reference = parse_reference(options.action)
    except InvalidReference:
        raise UsageError(
            f"{options.action!r} names no image: give HOST/PATH:TAG or HOST/PATH@DIGEST."
        ) from None
    environ = dict(os.environ)
    host = reference.name.partition("/")[0]
    if options.repository.partition("/")[0].lower() != host:
        # A login of ours is not for whatever registry somebody's image is at.
        environ = {name: value for name, value in environ.items() if name not in LOGIN}
    where = destination(reference.name, environ)
    key = options.key or where.trusted_key
    expected = Expected(
        source=Settings.from_environment(os.environ).source or None,
        key=read_public(key) if key else None,
        loopback=where.loopback,
    )
    verdict = anyio.run(ask, where, lambda repository: verify(repository, reference, expected))
    if options.json:
        print(json.dumps(as_dict(options.action, verdict), indent=2))
    else:
        tell(options.action, verdict)
    return Failure.REFUSED.exit_code if verdict.failures else 0


def as_dict(image: str, verdict: Verdict) -> dict[str, object]:
    """The verdict for a program."""
    return {
        "image": image,
        "digest": verdict.digest or None,
        "verified": not verdict.failures,
        "failures": list(verdict.failures),
        **dict(verdict.facts),
    }


def tell(image: str, verdict: Verdict) -> None:
    """The verdict for a person: facts to standard output, failures to standard error."""
    print(image)
    for name, fact in (("digest", verdict.digest), *verdict.facts):
        if fact:
            print(f"  {name:<11} {fact}")
    for failure in verdict.failures:
        print(f"brewline: {failure}", file=sys.stderr)
    if not verdict.failures:
        print("Verified.")
