"""An archive of Debian packages in a folder, as small as apt takes one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from engine.packages import Package


class Archive:
    """Packages without files, and apt's settings for who gets them from here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "archive"
        self.settings = folder / "apt"
        (self.settings / "sources.list.d").mkdir(parents=True)
        (self.settings / "sources.list.d" / "here.list").write_text(
            f"# bookworm\ndeb [trusted=yes] file:{self._folder} ./\n"
        )
        self._folder.mkdir()
        self._index = self._folder / "Packages"
        self._index.touch()

    def add(self, name: str, version: str, depends: str = "", *, priority: str = "") -> Package:
        """Put a package of any architecture into the archive."""
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        control += "Maintainer: nobody <nobody@localhost>\nDescription: nothing\n"
        control += f"Depends: {depends}\n" if depends else ""
        control += f"Priority: {priority}\n" if priority else ""
        tree = self._folder / f"{name}_{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(control)
        file = self._folder / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", tree, file], check=True, capture_output=True)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        where = f"Filename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {sha256}\n"
        self._index.write_text(f"{self._index.read_text()}{control}{where}\n")
        return Package(name, version, "all", sha256)

    def clear(self) -> None:
        """Take all packages out of it."""
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        self._index.touch()
