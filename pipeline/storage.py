"""File systems behind URLs: opened alike, and their failures told alike."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import PipelineError, StorageError, UsageError

__all__ = [
    "error_code",
    "flush",
    "is_local",
    "is_s3",
    "open_storage",
    "storage_errors",
    "write_durably",
    "write_whole",
    "writing_errors",
]

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
    "ConnectTimeoutError": "check AWS_ENDPOINT_URL and the network",
    "ReadTimeoutError": "check AWS_ENDPOINT_URL and the network",
    "ParamValidationError": "correct the URL",
}


def open_storage(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an fsspec URL or a plain path, and the path on it; nothing is read yet."""
    if not url.strip():
        raise UsageError("The lake URL is empty: give a path or a URL such as file:///data/lake.")
    try:
        # Other processes write the same lake, so a listing that was kept would be a stale one.
        fs, root = url_to_fs(url, use_listings_cache=False, **_s3_options(url))
    except (ValueError, ImportError) as error:
        raise UsageError(f"The lake URL {url!r} cannot be used: {error}.") from error
    if is_s3(fs):
        # It retries on top of its client, and what breaks off within an answer; and with more than
        # one request at a time for a file, it asks for each file's size before.
        fs.retries, fs.max_concurrency = 2, 1
    root = root.rstrip("/")
    if not root and not is_local(fs):
        raise UsageError(
            f"The lake URL {url!r} names no bucket: give one such as s3://bucket/lake."
        )
    return fs, root


def _s3_options(url: str) -> dict[str, Any]:
    """So that a store which never answers is given up within some 70 seconds."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    tries = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"retries": {"total_max_attempts": 3}}
    return {"config_kwargs": {"connect_timeout": 5, "read_timeout": 10, **tries}}


def is_s3(fs: AbstractFileSystem) -> bool:
    """Whether conditional writes of S3 can be asked for."""
    return "s3" in ([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)


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
        code = error_code(error)
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
        raise StorageError(_sentence(where, error, error_code(error))) from error


def write_whole(path: str, data: bytes) -> None:
    """Write a file of this machine so that it is seen whole or not at all, even after a kill."""
    # Hidden, as what is left of it after a kill belongs to no layer.
    _replace_file(Path(path), data, Path(path).with_name(f".{uuid.uuid4().hex}.tmp"))


def write_durably(path: str, data: bytes) -> None:
    """As `write_whole`, for one writer at a time; the file outlives a loss of power, too."""
    target = Path(path)
    _replace_file(target, data, target.with_name(f".{target.name}.tmp"), sync=_sync)
    _sync(target.parent)


def _replace_file(
    target: Path, data: bytes, temporary: Path, *, sync: Callable[[Path], None] = lambda _: None
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(target)
    except OSError:
        # On a full disk, it is what fills it.
        with suppress(OSError):
            temporary.unlink()
        raise


def flush(folders: list[Path]) -> None:
    """Make every file and folder below these outlive a loss of power; remove unfinished files."""
    below = [Path(at) for top in folders for at, _, _ in os.walk(top)]
    files = [path for folder in below for path in folder.iterdir() if path.is_file()]
    unfinished = {path for path in files if _is_unfinished(path)}
    for path in unfinished:
        path.unlink()
    # The new folders' own names stand in the folders above them.
    above = {parent for folder in folders for parent in (folder.parent, folder.parent.parent)}
    # A disk joins syncs that wait together into few writes of its journal.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(_sync, [*(set(files) - unfinished), *below, *above]))


def remove_unfinished(folder: Path, *, before: float) -> None:
    """Remove what killed processes left in a folder, if it was last written before that time."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if _is_unfinished(path) and path.stat().st_mtime <= before:
                path.unlink()


def _is_unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".tmp"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _CLIENTS


def error_code(error: BaseException) -> str:
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
    told = " ".join(reason.split()).rstrip(".")
    return f"The lake cannot be read or written at {where}: {told:.200}; {cure}."
