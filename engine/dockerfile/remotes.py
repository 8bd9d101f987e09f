"""ADD of what is elsewhere: files of HTTP servers and Git repositories."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass, replace

from engine import download
from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.inputs import Inputs
from engine.model import File

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_USER_AT_HOST = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^/:].*")
_UNNAMED = "__unnamed__"
_TRUE = ("", "1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def is_url(text: str) -> bool:
    """Whether `text` is the URL of a web server."""
    return text.startswith(("http://", "https://"))


def check_digest(checksum: str) -> None:
    """Refuse a checksum of a file that is no digest of a known kind."""
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise DockerfileError(f"invalid checksum digest format: {checksum}: give sha256:…")


def downloaded(inputs: Inputs, url: str, checksum: str) -> File:
    """The file at a URL, for its owner only, fetched when it is first asked for."""
    try:
        path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    except ValueError as error:
        raise DockerfileError(f"invalid URL {quoted(url)}: {error}") from None
    name = os.path.basename(path.rstrip("/")) or _UNNAMED
    source = download.Source(url=url, name=name, checksum=checksum)
    return download.downloaded(inputs.session, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What of which Git repository is meant; `ref` is empty for the repository's own choice."""

    remote: str
    ref: str = ""
    folder: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True

    def asked(self, keep_git_dir: bool | None, checksum: str) -> Repository:
        """The same with what the flags of ADD say. Raises DockerfileError if they disagree."""
        if None not in (keep_git_dir, self.keep_git_dir) and keep_git_dir != self.keep_git_dir:
            raise DockerfileError("inconsistent keep-git-dir configuration")
        if checksum and self.checksum and checksum != self.checksum:
            raise DockerfileError(
                f"checksum mismatch {quoted(checksum)} != {quoted(self.checksum)}"
            )
        keep = self.keep_git_dir if keep_git_dir is None else keep_git_dir
        return replace(self, keep_git_dir=keep, checksum=checksum or self.checksum)


def repository(text: str) -> Repository | None:
    """The repository that `text` names, or None where it is no address of one.

    A web address is one if its path ends with `.git`. Raises DockerfileError for a bad query.
    """
    address, _, fragment = text.partition("#")
    address, _, query = address.partition("?")
    if is_url(text):
        if not address.endswith(".git"):
            return None
    elif not (text.startswith(("git://", "ssh://")) or _USER_AT_HOST.fullmatch(text)):
        return None
    ref, _, folder = fragment.partition(":")
    found = _with_query(Repository(remote=address, ref=ref, folder=folder.strip("/")), query)
    if found.ref.startswith("-"):
        raise DockerfileError(f"invalid git ref {quoted(found.ref)}")
    return found


def _with_query(found: Repository, query: str) -> Repository:
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key == "keep-git-dir":
            found = replace(found, keep_git_dir=_boolean(key, value))
        elif key == "submodules":
            found = replace(found, submodules=_boolean(key, value))
        elif key not in ("ref", "branch", "tag", "subdir", "checksum", "commit"):
            raise DockerfileError(f"unexpected query {quoted(key)}")
        elif not value:
            raise DockerfileError(f"query {quoted(key)} has no value")
        elif key == "subdir":
            found = replace(found, folder=_agreed("subdir", found.folder, value.strip("/")))
        elif key in ("checksum", "commit"):
            found = replace(found, checksum=value)
        else:
            prefix = {"tag": "refs/tags/", "branch": "refs/heads/"}.get(key, "")
            ref = prefix + value.removeprefix(prefix)
            found = replace(found, ref=_agreed("ref", found.ref, ref))
    return found


def _agreed(what: str, known: str, value: str) -> str:
    if known and known != value:
        raise DockerfileError(f"{what} conflicts: {quoted(known)} vs {quoted(value)}")
    return value


def _boolean(key: str, value: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise DockerfileError(f"invalid {key} value: {quoted(value)}")
    return value in _TRUE
