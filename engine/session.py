"""One client's session: its secrets, services and calls, on the engine's store and network."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import secrets
import shlex
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import api, certificates
from engine.calls import Calls
from engine.errors import EngineError
from engine.executor.scrubber import masked
from engine.files import check_directory, check_file, directory_key, file_key
from engine.images import Images
from engine.kept import kept
from engine.lazy import Lazy, ended
from engine.model import Container, MountedSecret, Secret
from engine.progress import Progress
from engine.runtime import Executor, Runtime
from engine.settings import Settings
from engine.snapshot import Snapshot
from engine.store import Store
from engine.terminal import ClientTerminal
from engine.typesystem import TypeSystem

if TYPE_CHECKING:
    from engine.executor.output import Output
    from engine.executor.spec import Meta
    from engine.interactive import Terminals
    from engine.preparation import Prepared
    from engine.services import Services

_STANDARD_ERROR = 2
_LARGEST_SECRET = 500 << 10
_SHORTEST_HIDDEN = 3
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def default_platform() -> str:
    """The platform of containers that name none: this machine's."""
    machine = os.uname().machine
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def load_runtime() -> None:
    """Import what runs commands, which a session that only recalls results can do without."""
    from engine import interactive, running, services  # noqa: F401 - for those who import later
    from engine.executor import crun, filters  # noqa: F401 - as above


class Session:
    """A session, from the client's connection to its end."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        run_folder: Path,
        types: TypeSystem,
        client: ClientTerminal,
        runtime: Runtime = Runtime(),  # noqa: B008 - it has no state
    ) -> None:
        self.settings = settings
        self.store = store
        self.passed_on, self.certificates = certificates.passed_on(os.environ)
        self._runtime = runtime
        self.snapshots = runtime.snapshots(store, run_folder)
        self.network = runtime.network(self.passed_on.values())
        self.images = Images(self)
        self.progress = Progress(_STANDARD_ERROR)
        self.calls = Calls(self, types, api.load)
        self.platform = default_platform()
        self._run_folder = run_folder
        self._client = client
        self._folder = run_folder / "files"
        self._folder.mkdir()
        self._numbers = itertools.count()
        self._plaintexts: dict[str, bytes] = {}
        self.performing: dict[tuple[str, str], Lazy[dict[str, Any]]] = {}
        """The commands that run, by key and expected end: equal ones run once."""
        self._afterwards: set[asyncio.Task[None]] = set()
        self._warming = asyncio.create_task(self.network.warm(2))

    @cached_property
    def services(self) -> Services:
        """The services of this session."""
        from engine.services import Services

        return Services(self)

    @cached_property
    def terminals(self) -> Terminals:
        """The terminals that this session opens for its user."""
        from engine.interactive import Terminals

        return Terminals(self, self._client, self._run_folder)

    @cached_property
    def _executor(self) -> Executor:
        return self._runtime.executor(self.store, self._run_folder)

    def address_of(self, hostname: str) -> str | None:
        """The address of a running service with that host name."""
        if "services" not in self.__dict__:
            return None
        return next((a for a, name in self.services.hosts() if name == hostname), None)

    async def close(self) -> None:
        """Stop what runs."""
        await ended(self._warming)
        if "services" in self.__dict__:
            await self.services.close()
        if self._afterwards:
            await asyncio.wait(self._afterwards)
        await self.network.close()
        self.progress.close()

    def afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Have work done that nobody waits for but the end of this session."""
        task = asyncio.create_task(work)
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    def folder(self, prefix: str) -> Path:
        """A new folder in memory, readable by root alone: what secrets are written to."""
        path = self._folder / f"{prefix}-{next(self._numbers)}"
        path.mkdir(mode=0o700)
        return path

    async def execute(self, ready: Prepared, output: Output) -> int:
        """Run a prepared container to its end and return the exit code."""
        return await self._executor.run(
            ready.meta, ready.rootfs.merged, ready.namespace, output, stdin=ready.stdin
        )

    async def execute_within(self, meta: Meta, ready: Prepared, output: Output) -> int:
        """Run a command in a container that runs, and return the exit code."""
        return await self._executor.run_within(meta, ready.namespace, output)

    def kill(self, ready: Prepared) -> None:
        """End a container that runs, at once."""
        self._executor.kill(ready.namespace)

    def output(self, container: Container, *, limit: int | None = None) -> Output:
        """What takes a container's output; with a limit (bytes) only the end of it is kept."""
        from engine.executor.output import Output

        values = self.secret_values(container)
        return Output(values, lambda: self.store.folder("output"), limit=limit)

    async def directory_key(self, snapshot: Snapshot, path: str) -> str:
        """What stands for a directory of a snapshot in keys. Raises EngineError if it is none."""

        def compute() -> str:
            with self.snapshots.view(snapshot) as root:
                check_directory(root, path)
                return directory_key(self.snapshots, root, snapshot, path)

        return await asyncio.to_thread(compute)

    async def file_key(self, snapshot: Snapshot, path: str) -> str:
        """What stands for a file of a snapshot in keys. Raises EngineError if it is none."""

        def compute() -> str:
            with self.snapshots.view(snapshot) as root:
                check_file(root, path)
                return file_key(root, snapshot, path)

        return await asyncio.to_thread(compute)

    def set_secret(self, name: str, plaintext: str) -> Secret:
        """A secret by name; its value is kept in this session's memory."""
        slot = f"set {next(self._numbers)}"
        self._plaintexts[slot] = plaintext.encode(errors="replace")
        return Secret(name, slot)

    def secret_bytes(self, secret: Secret) -> bytes:
        """The value of a secret. Raises EngineError if its source does not have it."""
        if secret.slot not in self._plaintexts:
            value = self._read_secret(secret.uri)
            if len(value) > _LARGEST_SECRET:
                said = f"invalid secret size {len(value)}: it may have {_LARGEST_SECRET} bytes"
                raise EngineError(said)
            self._plaintexts[secret.slot] = value
        return self._plaintexts[secret.slot]

    def plaintext(self, secret: Secret) -> str:
        """The value as text: what is not UTF-8 becomes replacement characters."""
        return self.secret_bytes(secret).decode(errors="replace")

    def keyed_by_value(self, secret: Secret) -> Secret:
        """The secret with a cache key that tells its value only to who tries every value.

        One that cannot be read has a key of its own; the error is that of the first use.
        """
        try:
            value = self.secret_bytes(secret)
        except EngineError:
            return replace(secret, cache_key=secrets.token_hex())
        salt = kept(self.store.kept / "secret-salt", lambda: secrets.token_bytes(32))
        key = hashlib.scrypt(value, salt=salt, n=1 << 14, r=8, p=1)
        return replace(secret, cache_key=key.hex())

    def _read_secret(self, uri: str) -> bytes:
        scheme, _, rest = uri.partition("://")
        match scheme:
            case "env":
                if rest not in os.environ:
                    raise EngineError(f'secret env var not found: "{rest[:3]}..."')
                return os.fsencode(os.environ[rest])
            case "file":
                path = self.settings.workdir / _at_home(rest)
                try:
                    return path.read_bytes()
                except OSError as error:
                    why = (error.strerror or "").lower()
                    said = f'failed to read secret file "{path}": open {path}: {why}'
                    raise EngineError(said) from None
            case "cmd":
                return _command_output(rest, self.settings.workdir)
        raise EngineError(
            f'unsupported secret provider: "{scheme}"; the embedded engine has env, file and cmd, '
            "and a command can ask the program of any provider"
        )

    def secret_values(self, container: Container) -> list[bytes]:
        """The values that must not be seen in what a container writes."""
        used = [secret for _, secret in container.secrets]
        used += [m.secret for m in container.mounts if isinstance(m, MountedSecret)]
        return [self.secret_bytes(secret) for secret in used]

    def without_secrets(self, words: Sequence[str]) -> list[str]:
        """Words that others may see: the values of secrets that were asked for are replaced."""
        # A letter or two would spoil every word that has them.
        values = [v for v in self._plaintexts.values() if len(v) >= _SHORTEST_HIDDEN]
        return [masked(word, values) for word in words] if values else list(words)

    def event(self, kind: str, **facts: object) -> None:
        """Tell whoever reads BREWLINE_EVENTS what happened, as a line of JSON."""
        if self.settings.events is None:
            return
        line = json.dumps({"event": kind, "time": round(time.time(), 3), **facts})
        fd = os.open(self.settings.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)

    def host_path(self, path: str) -> Path:
        """A path of the client's machine, which may be relative to the session's folder."""
        return Path(os.path.normpath(self.settings.workdir / _at_home(path)))


def _at_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise EngineError(f"{path}: this machine knows no home of that user") from None


def _command_output(command: str, workdir: Path) -> bytes:
    import subprocess

    done = subprocess.run(["sh", "-c", command], cwd=workdir, capture_output=True, check=False)
    what = f"secret command {shlex.quote((command.split() or [''])[0])}"
    if done.returncode:
        raise EngineError(f"failed to run {what}: exit code {done.returncode}")
    return done.stdout
