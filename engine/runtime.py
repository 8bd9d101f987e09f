"""The machine's edge: file systems, a network, and what runs containers in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.network import Namespace, Network
from engine.snapshot import Snapshots
from engine.store import Store

if TYPE_CHECKING:
    from engine.executor.output import Output
    from engine.executor.spec import Meta


class Executor(Protocol):
    """Runs containers in root file systems that are mounted, as `Crun` does."""

    async def run(
        self,
        meta: Meta,
        rootfs: str,
        namespace: Namespace,
        output: Output,
        *,
        stdin: bytes | None = None,
    ) -> int:
        """Run a container to its end and return the command's exit code."""

    async def run_within(self, meta: Meta, namespace: Namespace, output: Output) -> int:
        """Run a command in the container of a network namespace and return its exit code."""

    def kill(self, namespace: Namespace) -> None:
        """Kill the container in a network namespace, if there is one."""


class Runtime:
    """Makes what a session uses of the machine: true here, and a fake in fast tests.

    `folder` is of the session alone, on a tmpfs.
    """

    def snapshots(self, store: Store, folder: Path) -> Snapshots:
        """The snapshots of a store."""
        return Snapshots(store, folder / "mounts")

    def network(self, proxies: Collection[str]) -> Network:
        """A network of the session's own, which reaches these proxies of the machine."""
        return Network(proxies)

    def executor(self, store: Store, folder: Path) -> Executor:
        """What runs containers."""
        from engine.executor.crun import Crun  # a session that only recalls results needs none
        from engine.executor.filters import Filters

        return Crun(folder, Filters(folder, store.kept))
