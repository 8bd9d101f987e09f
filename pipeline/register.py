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
from fsspec.asyn import sync

from pipeline.storage import error_code, is_local, is_s3, write_durably

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
        return _get(fs, path) if is_s3(fs) else Reading(bytes(fs.cat_file(path)))
    except FileNotFoundError as error:
        if error_code(error) == "NoSuchBucket":
            raise
        return Reading(None)


def replace(fs: AbstractFileSystem, path: str, data: bytes, *, seen: Reading) -> Reading | None:
    """Put `data` in place of what was seen, or change nothing where another came first: None.

    Strict between processes on a disk (a lock that dies with its process) and on S3 (a conditional
    PUT); on other file systems only between threads.
    """
    if is_s3(fs):
        return _put(fs, path, data, seen)
    with _locked(fs, path):
        if read(fs, path).data != seen.data:
            return None
        if is_local(fs):
            write_durably(path, data)
        else:
            fs.pipe_file(path, data)
        return Reading(data)


def _get(fs: Any, path: str) -> Reading:
    bucket, key, _ = fs.split_path(path)
    answer = fs.call_s3("get_object", Bucket=bucket, Key=key)
    return Reading(sync(fs.loop, answer["Body"].read), answer["ETag"])


def _put(fs: Any, path: str, data: bytes, seen: Reading) -> Reading | None:
    bucket, key, _ = fs.split_path(path)
    condition = {"IfMatch": seen.mark} if seen.mark else {"IfNoneMatch": "*"}
    try:
        answer = fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)
    except OSError as error:
        if error_code(error) not in _LOST:
            raise
        # A PUT whose answer was lost is sent again, and then finds its own first try.
        now = read(fs, path)
        return now if now.data == data else None
    return Reading(data, answer["ETag"])


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
