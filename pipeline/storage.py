"""File systems behind URLs: opened alike, and their failures told alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import PipelineError, StorageError, UsageError

__all__ = ["flush", "is_local", "open_storage", "storage_errors", "write_whole", "writing_errors"]

# Of libraries that talk to object stores: what they raise beside OSError when a store fails.
_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "azure"})
_CURES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EROFS: "give a lake that can be written",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.ENOTDIR: "a file is in the way: give another folder",
    errno.EEXIST: "a file is in the way: give another folder",
}
_CODE_CURES = {
    "NoSuchBucket": "make the bucket, or correct the URL",
    "AccessDenied": "give these credentials the right to it",
    "403": "give these credentials the right to it",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "SignatureDoesNotMatch": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
    "EndpointConnectionError": "check AWS_ENDPOINT_URL and the network",
}


def open_storage(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an fsspec URL or a plain path, and the path on it; nothing is read yet."""
    if not url.strip():
        raise UsageError("The lake URL is empty: give a path or a URL such as file:///data/lake.")
    try:
        # Other processes write the same lake, so a listing that was kept would be a stale one.
        fs, root = url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise UsageError(f"The lake URL {url!r} cannot be used: {error}.") from error
    root = root.rstrip("/")
    if not root and not is_local(fs):
        raise UsageError(
            f"The lake URL {url!r} names no bucket: give one such as s3://bucket/lake."
        )
    return fs, root


def is_local(fs: AbstractFileSystem) -> bool:
    """Whether files there are files of this machine, to be renamed, locked and flushed."""
    return isinstance(fs, LocalFileSystem)


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn failures of the storage into StorageError; a missing file stays FileNotFoundError."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        code = _code(error)
        missing = isinstance(error, FileNotFoundError) and code != "NoSuchBucket"
        if missing or not (isinstance(error, OSError) or _is_of_a_client(error)):
            raise
        raise StorageError(_sentence(where, error, code)) from error


@contextmanager
def writing_errors(where: str) -> Iterator[None]:
    """As `storage_errors`, also for a write that does not find its folder or bucket."""
    try:
        with storage_errors(where):
            yield
    except FileNotFoundError as error:
        raise StorageError(_sentence(where, error, _code(error))) from error


def write_whole(path: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file of this machine so that it is seen whole or not at all, even after a kill.

    `durable` makes it outlive a loss of power, too.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, as what is left of it after a kill belongs to no layer.
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(target.parent)


def flush(folders: list[Path]) -> None:
    """Make every file and folder below these outlive a loss of power."""
    below = [Path(at) for top in folders for at, _, _ in os.walk(top)]
    files = [path for folder in below for path in folder.iterdir() if path.is_file()]
    # The new folders' own names stand in the folders above them.
    above = {parent for folder in folders for parent in (folder.parent, folder.parent.parent)}
    # A disk joins syncs that wait together into few writes of its journal.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(_sync, [*files, *below, *above]))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _CLIENTS


def _code(error: BaseException) -> str:
    """What the store calls the failure; s3fs keeps the store's answer as the cause."""
    for link in (error, error.__cause__):
        response: Any = getattr(link, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def _sentence(where: str, error: Exception, code: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    cure = _CODE_CURES.get(code) or _CURES.get(number or 0, "see that it is there and run again")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or code
    return f"The lake cannot be read or written at {where}: {reason.rstrip('.')}; {cure}."
