"""`images lock`: every image that is named, pinned to the digest that its registry has now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio

from ci.command_line import Options
from ci.errors import CheckFailed, InfrastructureError
from ci.pinning import images, packages
from ci.publishing.access import translated
from engine.oci.reference import Reference, parse_reference
from engine.registry import places
from engine.registry.credentials import Credentials, configuration
from engine.registry.errors import NotFound, RegistryError, Unreachable
from engine.registry.repository import Repository
from engine.registry.transport import Transport
from engine.stop import Stop, in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What a registry has under a name, and what the files were pinned to; "" for no pin."""

    name: str
    digest: str
    before: frozenset[str]

    @property
    def moved(self) -> bool:
        """Whether a file names it without this digest."""
        return self.before != {self.digest}

    def __str__(self) -> str:
        if not self.moved:
            return f"{self.name} is pinned to {self.digest}"
        earlier = ", ".join(sorted(self.before - {self.digest, ""}))
        return (
            f"{self.name} {'moved from ' + earlier if earlier else 'was not pinned'}: {self.digest}"
        )


def main(options: Options, root: Path) -> int:
    """Ask for all digests, then write them all; with `--check` only tell what would change."""
    if options.stand_ins:
        return packages.main(options, root)
    named = images.pins(root)
    digests = anyio.run(in_thread, lambda stop: _digests(named, stop))
    found = [
        Locked(name=name, digest=digests[name], before=frozenset(before))
        for name, before in named.items()
    ]
    if not options.check:
        changed = images.pin(root, digests)
    _tell(found, as_json=options.json)
    if options.check:
        _require_locked(found)
    elif not options.json:
        for path in changed:
            print(f"{path.relative_to(root)} written")
    return 0


def _require_locked(found: Iterable[Locked]) -> None:
    moved = [each.name for each in found if each.moved]
    if moved:
        raise CheckFailed(
            f"Not pinned to what the registry has now: {', '.join(moved)}; run `images lock`."
        )


def _tell(found: Iterable[Locked], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_as_dict(each) for each in found], indent=2))
    else:
        for each in found:
            print(each)


def _as_dict(locked: Locked) -> dict[str, object]:
    before = sorted(locked.before - {""})
    return {"image": locked.name, "digest": locked.digest, "before": before, "moved": locked.moved}


def _digests(names: Iterable[str], stop: Stop) -> dict[str, str]:
    """The digest of every name, from its registry or a mirror of this machine's."""
    transport = Transport(stop)
    try:
        return {name: _digest(parse_reference(name), transport) for name in names}
    finally:
        transport.close()


def _digest(reference: Reference, transport: Transport) -> str:
    """The digest of what a name is on: of an index where the image is one of many platforms."""
    try:
        return places.first_answer(reference, lambda place: _asked(place, reference, transport))
    except NotFound:
        raise CheckFailed(
            f"{reference.registry} has no image {reference.familiar}: correct its name."
        ) from None
    except Unreachable as error:
        raise InfrastructureError(
            f"The digest of {reference.familiar} is not to be had, and nothing was written: "
            f"{error}; run this where the registry or a mirror of it is reached."
        ) from None
    except RegistryError as error:
        raise translated(error, reference.registry) from None


def _asked(place: places.Place, reference: Reference, transport: Transport) -> str:
    login = Credentials({}, configuration()).of(place.host)
    return Repository(transport, place, login).manifest(reference.tag).digest
