"""Secret values taken out of a stream, however its bytes arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MASK = b"***"


class Scrubber:
    """Replaces secret values in a stream, also where a value is split over several writes.

    Values that overlap are replaced as one, so that no rest of either is left. A value counts
    without the white space around it, too: a file ends with a newline that its user leaves out.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = {value for s in secrets for value in (s, s.strip()) if value}
        self._held = b""
        # So much of the beginning of what is held is part of a value that was replaced already.
        self._masked = 0

    def feed(self, data: bytes) -> bytes:
        """What can be passed on after `data`: the beginning of a secret is held back."""
        if not self._secrets:
            return data
        text = self._held + data
        return self._passed(
            text, min((_beginning(text, secret) for secret in self._secrets), default=len(text))
        )

    def end(self) -> bytes:
        """What was held back, which is the whole of a secret or of none."""
        return self._passed(self._held, len(self._held))

    def _passed(self, text: bytes, until: int) -> bytes:
        """The text up to there, replaced; the rest is held."""
        passed: list[bytes] = []
        at = masked = 0
        for start, end in self._found(text):
            replaced = not start and self._masked
            if start >= until and not replaced:
                break
            passed += [text[at:start]] if replaced else [text[at:start], MASK]
            at = min(end, until)
            masked = end - at
        passed.append(text[at:until])
        self._held, self._masked = text[until:], masked
        return b"".join(passed)

    def _found(self, text: bytes) -> list[tuple[int, int]]:
        """Where secrets are, from and to; those that overlap are one."""
        merged: list[tuple[int, int]] = [(0, self._masked)] if self._masked else []
        for start, end in sorted(part for s in self._secrets for part in _each(text, s)):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged


def _each(text: bytes, secret: bytes) -> Iterator[tuple[int, int]]:
    start = text.find(secret)
    while start >= 0:
        yield start, start + len(secret)
        start = text.find(secret, start + 1)


def _beginning(text: bytes, secret: bytes) -> int:
    """Where the longest end of `text` begins that `secret` goes on from; its length if nowhere."""
    start = text.find(secret[:1], max(0, len(text) - len(secret) + 1))
    while start >= 0 and not secret.startswith(text[start:]):
        start = text.find(secret[:1], start + 1)
    return len(text) if start < 0 else start


def masked(word: str, secrets: Sequence[bytes]) -> str:
    """A text without secret values."""
    scrubber = Scrubber(secrets)
    data = word.encode("utf-8", "surrogateescape")
    return (scrubber.feed(data) + scrubber.end()).decode("utf-8", "surrogateescape")
