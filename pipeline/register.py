"""One small file that many processes change, each change made on what was read: compare and set."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.storage import is_local, write_whole

__all__ = ["Reading", "read", "replace"]

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
# What has neither locks nor conditional writes is at least safe within one process.
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a register held, None for nothing, and the store's mark for exactly that."""

    data: bytes | None
    mark: str | None = None


def read(fs: AbstractFileSystem, path: str) -> Reading:
    """The register's content now, nothing where there is no file; raises what the store raises."""
    try:
        # The mark first: a content newer than its mark fails to be replaced, and is read again.
        mark = fs.info(path)["ETag"] if _is_s3(fs) else None
        return Reading(bytes(fs.cat_file(path)), mark)
    except FileNotFoundError:
        if _is_s3(fs):
            # A missing bucket looks like a missing file until it is listed.
            fs.call_s3("list_objects_v2", Bucket=fs.split_path(path)[0], MaxKeys=1)
        return Reading(None)


def replace(fs: AbstractFileSystem, path: str, data: bytes, *, seen: Reading) -> bool:
    """Put `data` in place of what was seen, or change nothing where another came first.

    Strict between processes on a disk (a lock that dies with its process) and on S3 (a conditional
    PUT); on other file systems only between threads.
    """
    if _is_s3(fs):
        return _put(fs, path, data, seen)
    with _locked(fs, path):
        if read(fs, path).data != seen.data:
            return False
        if is_local(fs):
            write_whole(path, data, durable=True)
        else:
            fs.pipe_file(path, data)
        return True


def _is_s3(fs: AbstractFileSystem) -> bool:
    return "s3" in ([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)


def _put(fs: Any, path: str, data: bytes, seen: Reading) -> bool:
    bucket, key, _ = fs.split_path(path)
    condition = {"IfMatch": seen.mark} if seen.mark else {"IfNoneMatch": "*"}
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)
    except OSError as error:
        response = getattr(error.__cause__, "response", {})
        if response.get("Error", {}).get("Code") not in _LOST:
            raise
        # A PUT whose answer was lost is sent again, and then finds its own first try.
        return read(fs, path).data == data
    return True


@contextmanager
def _locked(fs: AbstractFileSystem, path: str) -> Iterator[None]:
    if not is_local(fs):
        with _lock:
            yield
        return
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    # A file, not the folder: NFS locks only what is open for writing.
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
