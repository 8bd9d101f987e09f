"""The words of EXPOSE: `80`, `53/udp`, `8000-8010`, and forms that name the host's side too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_words

_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST = 65535


def exposed(
    texts: Sequence[str], variables: Mapping[str, str], escape: str
) -> Iterator[tuple[int, str]]:
    """The ports, each with its protocol in capital letters. Raises DockerfileError."""
    for text in texts:
        for word in expand_words(text, variables, escape):
            yield from _ports(word)


def _ports(word: str) -> Iterator[tuple[int, str]]:
    # What stands before a colon is the host's side, which EXPOSE has no use for.
    wanted, _, protocol = word.rpartition(":")[2].partition("/")
    if not wanted:
        raise DockerfileError(f"invalid port: {quoted(word)}: no port specified")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise DockerfileError(f"invalid port: {quoted(word)}: invalid proto: {protocol}")
    first, dash, last = wanted.partition("-")
    numbers = [_number(first, wanted), _number(last if dash else first, wanted)]
    if numbers[0] > numbers[1]:
        raise DockerfileError(f"invalid containerPort: {wanted}")
    for number in range(numbers[0], numbers[1] + 1):
        yield number, protocol.upper()


def _number(text: str, wanted: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _HIGHEST):
        raise DockerfileError(f"invalid containerPort: {wanted}")
    return int(text)
