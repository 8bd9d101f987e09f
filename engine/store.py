"""The engine's folder on disk: layers, the memory of finished work, cache volumes, blobs.

Several engines may use one store at a time: everything is made in a temporary folder and comes
into place by a rename, and the temporary folders of engines that died are swept at the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import liveness, reboot
from engine.errors import NO_ROOM, StoreError
from engine.liveness import remove

FORMAT = "1"


def digest(*parts: object) -> str:
    """SHA-256 of a list of strings and JSON values, in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """A store, open for one engine, or for its own upkeep.

    Raises StoreError if the folder cannot be written or belongs to a newer engine.
    """

    def __init__(self, path: Path, *, upkeep: bool = False) -> None:
        self.path = path
        self.layers = path / "layers"
        self.volumes = path / "volumes"
        self.blobs = path / "blobs"
        self.memo = path / "memo"
        self.kept = path / "kept"
        self._locks = path / "locks"
        self._sound: set[str] = set()
        try:
            self._open(upkeep)
        except OSError as error:
            full = error.errno in NO_ROOM
            raise StoreError(
                f"the engine's store {path} cannot be used: {error.strerror}; "
                f"{'free some room or ' * full}name another folder in BREWLINE_STORE"
            ) from error

    def _open(self, upkeep: bool) -> None:
        parts = (self.layers, self.volumes, self.blobs, self.memo, self.kept, self._locks)
        for folder in parts:
            folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.path, 0o700)
        # One engine after the other: none must see the half-made stamps or folder of another.
        with self.lock("open"):
            self._check_format()
            liveness.sweep(self.path)
            self.temporary, self._alive = liveness.begin(self.path, upkeep=upkeep)
            self.started = os.fstat(self._alive).st_mtime_ns
            reboot.distrust(self.path, self.temporary)

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
        remove(self.temporary)
        os.close(self._alive)

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was remembered under `key`, if all the layers that it names are still there.

        Keeps it, and them, from being pruned as long as this engine lives.
        """
        path = self._place(key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            text = os.read(fd, status.st_size)
            if status.st_mtime_ns < self.started:
                # Who prunes holds it while it looks whether the entry was touched, and removes it.
                fcntl.flock(fd, fcntl.LOCK_SH)
                os.utime(fd)
                if os.stat(path).st_ino != status.st_ino:
                    return None
            record = json.loads(text)
        except (OSError, ValueError):
            return None
        finally:
            os.close(fd)
        if not isinstance(record, dict):
            return None
        if not all(map(self._is_sound, record.get("layers", ()))):
            return None
        return record

    def _place(self, key: str) -> str:
        return f"{self.memo}/{key[:2]}/{key}"

    def _is_sound(self, layer: str) -> bool:
        """Whether a layer is there and its topmost folder as it was when it became one."""
        if layer in self._sound:
            return True
        try:
            status = os.stat(f"{self.layers}/{layer}")
        except OSError:
            return False
        time_in_name = layer.partition("-")[2]
        if not stat.S_ISDIR(status.st_mode) or time_in_name not in ("", _seconds(status)):
            return False
        self._sound.add(layer)
        return True

    def remember(self, key: str, record: dict[str, Any]) -> None:
        """Keep `record` under `key`; `layers` in it are the layers that it needs.

        `what` in it says to people what made them.
        """
        path = self._place(key)
        draft = f"{self.temporary}/memo-{os.urandom(6).hex()}"
        with open(draft, "x") as file:
            file.write(json.dumps(record))
        try:
            os.rename(draft, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(draft, path)

    def forget(self, key: str, used: int) -> bool:
        """Forget what is remembered under `key`, unless it was used since the time `used`."""
        path = self._place(key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # By its path: it may have been remembered anew meanwhile.
            if os.stat(path).st_mtime_ns > used:
                return False
            os.unlink(path)
        except FileNotFoundError:
            return False
        finally:
            os.close(fd)
        return True

    def folder(self, prefix: str) -> Path:
        """A new folder in this engine's temporary folder."""
        path = self.temporary / f"{prefix}-{os.urandom(6).hex()}"
        path.mkdir()
        return path

    def adopt(self, folder: Path) -> str:
        """Make a finished folder a layer; its name.

        It holds the folder's time, so that a layer that was emptied is known for one.
        """
        name = f"{os.urandom(4).hex()}-{_seconds(folder.stat())}"
        folder.rename(self.layers / name)
        return name

    def volume(self, key: str, fill: Callable[[Path], None] | None = None) -> Path:
        """The folder of a cache volume, made, and filled, when it is used for the first time."""
        folder = self.volumes / digest(key)[:32]
        data, name = folder / "data", folder / "name"
        with self.lock(f"volume {folder.name}"):
            if not data.exists():
                draft = folder / "draft"
                remove(draft)
                draft.mkdir(parents=True)
                draft.chmod(0o755)
                if fill is not None:
                    fill(draft)
                draft.rename(data)
            if not name.exists():
                name.write_text(key)
            os.utime(folder)
        return data

    def take_volume(self, name: str, used: int) -> Path | None:
        """Take a volume out of the store, unless it was used since the time `used`."""
        folder = self.volumes / name
        with self.lock(f"volume {name}"):
            if folder.stat().st_mtime_ns > used:
                return None
            return folder.rename(self.temporary / f"volume-{name}")

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that other engines of this store respect; blocks the calling thread."""
        fd = os.open(self._locks / digest(name)[:24], os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _seconds(status: os.stat_result) -> str:
    return f"{int(status.st_mtime):x}"
