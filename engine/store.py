"""The engine's folder on disk: layers, the memory of finished work, cache volumes, blobs.

Several engines may use one store at a time: everything is made in a temporary folder and comes
into place by a rename, and the temporary folders of engines that died are swept at the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import StoreError

FORMAT = "1"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Linux writes dirty pages back after 30 s, looking every 5 s.
_WRITE_BACK_SECONDS = 60


def digest(*parts: object) -> str:
    """SHA-256 of a list of strings and JSON values, in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """A store, open for one engine.

    Raises StoreError if the folder cannot be written or belongs to a newer engine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layers = path / "layers"
        self.volumes = path / "volumes"
        self.blobs = path / "blobs"
        self._memo = path / "memo"
        self._locks = path / "locks"
        try:
            self._open()
        except OSError as error:
            raise StoreError(
                f"the engine's store {path} cannot be used: {error.strerror}; "
                "free some room or name another folder in BREWLINE_STORE"
            ) from error

    def _open(self) -> None:
        for folder in (self.layers, self.volumes, self.blobs, self._memo, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.path, 0o700)
        # One engine after the other: none must see the half-made stamps or folder of another.
        with self.lock("open"):
            self._check_format()
            self._sweep()
            self._distrust_after_reboot()
            name = f"{os.getpid()}-{secrets.token_hex(4)}"
            self.temporary = self.path / "tmp" / name
            self.temporary.mkdir(parents=True)
            self._alive = os.open(self.temporary / "alive", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._alive, fcntl.LOCK_EX)

    def _check_format(self) -> None:
        stamp = self.path / "format"
        found = stamp.read_text().strip() if stamp.exists() else ""
        if not found:  # new, or the disk was full when it was made
            stamp.write_text(FORMAT)
        elif found != FORMAT:
            raise StoreError(
                f"the engine's store {self.path} is of another version ({found}, "
                f"this engine has {FORMAT}): name another folder in BREWLINE_STORE or remove it"
            )

    def close(self) -> None:
        """Remove this engine's temporary folder."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        os.close(self._alive)

    def _sweep(self) -> None:
        """Remove the temporary folders of engines that are gone."""
        for folder in self.path.glob("tmp/*"):
            try:
                fd = os.open(folder / "alive", os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                shutil.rmtree(folder, ignore_errors=True)  # its engine died while it started
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                pass  # its engine lives
            finally:
                os.close(fd)

    def _distrust_after_reboot(self) -> None:
        """Forget what was finished just before the machine went down.

        Layers are written by overlays mounted `volatile`: fast, but a crash of the machine (not of
        the engine) may leave those files empty that the kernel had not written back yet.
        """
        stamp, boot = self.path / "boot", _BOOT_ID.read_text().strip()
        if stamp.exists() and stamp.read_text() != boot:
            times = {entry: entry.stat().st_mtime for entry in self._memo.glob("*/*")}
            last = max(times.values(), default=0.0)
            for entry, when in times.items():
                if when > last - _WRITE_BACK_SECONDS:
                    entry.unlink(missing_ok=True)
        stamp.write_text(boot)

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was remembered under `key`, if all the layers that it names are still there."""
        path = self._memo / key[:2] / key
        try:
            record = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(record, dict):
            return None
        if not all((self.layers / layer).is_dir() for layer in record.get("layers", [])):
            return None
        return record

    def remember(self, key: str, record: dict[str, Any]) -> None:
        """Keep `record` under `key`; `layers` in it are the layers that it needs."""
        path = self._memo / key[:2] / key
        path.parent.mkdir(exist_ok=True)
        draft = self.temporary / f"memo-{secrets.token_hex(6)}"
        draft.write_text(json.dumps(record))
        draft.rename(path)

    def folder(self, prefix: str) -> Path:
        """A new folder in this engine's temporary folder."""
        path = self.temporary / f"{prefix}-{secrets.token_hex(6)}"
        path.mkdir()
        return path

    def adopt(self, folder: Path) -> str:
        """Make a finished folder a layer; its name."""
        name = secrets.token_hex(6)
        folder.rename(self.layers / name)
        return name

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that other engines of this store respect; blocks the calling thread."""
        fd = os.open(self._locks / digest(name)[:24], os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
