"""Dockerfiles built with the engine's own operations: each stage is a container that grows."""

from __future__ import annotations

import asyncio
import os
import platform as machine
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import files
from engine.dockerfile import copying
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_heredoc, expand_word
from engine.dockerfile.instructions import (
    Add,
    AnyInstruction,
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from engine.dockerfile.mounts import Mount, parse_mount
from engine.dockerfile.parser import parse, parse_trigger
from engine.dockerfile.state import (
    SHELL,
    State,
    command_of,
    destination,
    healthcheck_of,
    with_env,
    with_labels,
    with_ports,
)
from engine.errors import EngineError, ExecError
from engine.execution import with_exec
from engine.lazy import Lazy
from engine.model import (
    CacheVolume,
    Container,
    ContainerMount,
    Directory,
    File,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedTemp,
    Secret,
)
from engine.patterns import read_ignore_file
from engine.preparation import Exec
from engine.root import Root, clean
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot

if TYPE_CHECKING:
    from engine.session import Session

_PREDEFINED = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Context:
    """What a build may copy from: its folder, and other folders by name."""

    directory: Directory
    named: Mapping[str, Directory]


class Build:
    """One build of a Dockerfile."""

    def __init__(
        self,
        session: Session,
        context: Context,
        *,
        platform: str,
        arguments: Mapping[str, str] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        init: bool = True,
    ) -> None:
        self._session = session
        self._context = context
        self._platform = platform
        self._given = dict(arguments or {})
        self._secrets = dict(secrets or {})
        self._init = init
        self._stages: dict[int, Lazy[Container]] = {}
        self._global: dict[str, str] = {}
        self._file = Dockerfile(name="Dockerfile")
        self._ignored: tuple[str, ...] = ()

    async def container(self, dockerfile: str, target: str = "") -> Container:
        """The container that the last stage, or the stage `target`, describes.

        Raises DockerfileError for what is wrong in the file; commands run when somebody asks.
        """
        text = await self._read(dockerfile)
        try:
            self._file = parse(text, dockerfile)
            self._global = self._global_arguments()
            made = await self._stage(self._target(target)).get()
        except DockerfileError as error:
            raise EngineError(f"failed to convert Dockerfile to LLB: {error}") from None
        return replace(made, rootfs=_within_build(made.rootfs))

    async def _read(self, dockerfile: str) -> str:
        snapshot = await self._context.directory.snapshot.get()
        folder = self._context.directory.path

        def read() -> str:
            with self._session.snapshots.view(snapshot) as root:
                self._ignored = _ignore_patterns(root, folder, dockerfile)
                try:
                    return root.read(f"{folder}/{dockerfile}").decode(errors="replace")
                except OSError:
                    raise EngineError(
                        f'failed to read Dockerfile "{dockerfile}": '
                        f"open /{dockerfile}: no such file or directory"
                    ) from None

        return await asyncio.to_thread(read)

    def _target(self, target: str) -> int:
        if not target:
            return len(self._file.stages) - 1
        found = self._file.find(target)
        if found is None:
            raise DockerfileError(f'target stage "{target}" could not be found')
        return found

    def _global_arguments(self) -> dict[str, str]:
        system, arch = self._platform.split("/")[:2]
        here = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.machine(), machine.machine())
        known = {
            "TARGETPLATFORM": self._platform,
            "TARGETOS": system,
            "TARGETARCH": arch,
            "TARGETVARIANT": "",
            "BUILDPLATFORM": f"linux/{here}",
            "BUILDOS": "linux",
            "BUILDARCH": here,
            "BUILDVARIANT": "",
        }
        known.update((n, v) for n, v in self._given.items() if n in known)
        self._platforms = dict(known)
        for line in self._file.arguments:
            for name, default in line.arguments:
                value = self._given.get(name)
                if value is None and default is not None:
                    value = expand_word(default, known, self._file.directives.escape)
                if value is not None:
                    known[name] = value
        return known

    def _stage(self, index: int) -> Lazy[Container]:
        if index not in self._stages:
            self._stages[index] = Lazy(lambda: self._built(index))
        return self._stages[index]

    async def _built(self, index: int) -> Container:
        stage = self._file.stages[index]
        escape = self._file.directives.escape
        with self._at(stage):
            name = expand_word(stage.base, self._global, escape)
            if not name:
                raise DockerfileError(f"base name ({stage.base}) should not be blank")
        base = await self._base(name, stage, index)
        arguments = {n: self._platforms[n] for n in self._given if n in self._platforms}
        state = State(base, arguments, escape)
        for trigger in base.onbuild:
            state.container = replace(state.container, onbuild=())
            await self._apply(state, parse_trigger(trigger, stage.line, self._file.name), index)
        for instruction in stage.instructions:
            await self._apply(state, instruction, index)
        return state.container

    async def _base(self, name: str, stage: Stage, index: int) -> Container:
        found = self._file.find(name)
        if found is not None and found < index:
            return await self._stage(found).get()
        platform = self._platform
        if stage.platform:
            platform = expand_word(stage.platform, self._global, self._file.directives.escape)
        empty = Container(platform=platform)
        if name == "scratch":
            return empty
        if name in self._context.named:
            return replace(empty, rootfs=self._context.named[name].snapshot)
        made = await self._session.images.pull(empty, name)
        return replace(made, image_ref="", ran=None)

    @contextmanager
    def _at(self, line: AnyInstruction | Stage) -> Iterator[None]:
        """Errors in here name the line that they are in."""
        try:
            yield
        except DockerfileError as error:
            raise error.located(line.line, self._file.name, line.original) from None

    async def _apply(self, state: State, line: AnyInstruction, index: int) -> None:
        with self._at(line):
            await self._instruction(state, line, index)

    async def _instruction(self, state: State, line: AnyInstruction, index: int) -> None:
        container = state.container
        match line:
            case Run():
                container = await self._run(state, line, index)
            case Copy() | Add():
                container = await self._transfer(state, line, index)
            case Env():
                container = with_env(state, line)
            case Arg():
                self._argument(state, line)
            case Label():
                container = with_labels(state, line)
            case Workdir():
                container = await self._workdir(state, line)
            case User():
                container = replace(container, user=state.word(line.user))
            case Expose():
                container = with_ports(state, line)
            case Cmd():
                container = replace(container, args=command_of(container, line))
            case Entrypoint():
                # As recorded: a new entrypoint drops the command of the base.
                container = replace(container, entrypoint=command_of(container, line), args=())
            case Shell():
                container = replace(container, shell=line.argv)
            case Healthcheck():
                container = replace(container, healthcheck=healthcheck_of(line))
            case Stopsignal():
                container = replace(container, stop_signal=state.word(line.signal))
            case Volume():
                paths = tuple(state.word(p) for p in line.paths)
                volumes = tuple(dict.fromkeys((*container.volumes, *paths)))
                container = replace(container, volumes=volumes)
            case Onbuild():
                container = replace(container, onbuild=(*container.onbuild, line.expression))
            case Maintainer():
                pass  # it only ever named an author
        state.container = container

    def _argument(self, state: State, line: Arg) -> None:
        for name, default in line.arguments:
            if name in self._given:
                state.arguments[name] = self._given[name]
            elif default is not None:
                state.arguments[name] = state.word(default)
            elif name in self._global:
                state.arguments[name] = self._global[name]

    async def _workdir(self, state: State, line: Workdir) -> Container:
        container = state.container
        path = container.absolute(state.word(line.path))

        def make(root: Root) -> None:
            root.make_dirs(path)

        rootfs = files.changed(self._session.snapshots, container.rootfs, f"workdir {path}", make)
        return replace(container, workdir=path, rootfs=rootfs)

    async def _run(self, state: State, line: Run, index: int) -> Container:
        container = state.container
        args = command_of(container, line)
        mounts = [parse_mount(text, state.word) for text in line.mounts]
        prepared = container
        if line.script is not None:
            prepared, args = self._with_script(state, prepared, line)
        # Arguments are variables of the command only, and only the image's own ones stay.
        env = {**{n: v for n, v in state.arguments.items()}, **dict(container.env)}
        env.update((n, v) for n, v in self._given.items() if n.upper() in _PREDEFINED)
        prepared = replace(prepared, env=tuple(env.items()), mounts=(), secrets=(), services=())
        for mount in mounts:
            prepared = await self._mounted(state, prepared, mount, index)
        command = Exec(args=args, privileged=line.security == "insecure", init=self._init)
        ran = with_exec(self._session, prepared, command)
        return replace(container, rootfs=ran.rootfs)

    def _with_script(
        self, state: State, container: Container, line: Run
    ) -> tuple[Container, tuple[str, ...]]:
        """A here document with an interpreter line, as a file that the shell runs."""
        assert line.script is not None
        name = f"/dev/pipes/{line.script.name}"
        source = files.with_new_file(
            self._session.snapshots,
            Lazy.of(EMPTY),
            f"/{line.script.name}",
            line.script.content,
            mode=0o755,
        )
        mount = MountedFile(target=name, source=File(source, f"/{line.script.name}"))
        shell = container.shell or SHELL
        return container.with_mount(mount), (*shell, name)

    async def _mounted(
        self, state: State, container: Container, mount: Mount, index: int
    ) -> Container:
        target = state.container.absolute(mount.target) if mount.target else ""
        made: ContainerMount
        match mount.type:
            case "bind":
                source = await self._source(mount.from_, index)
                made = await self._bind(source, mount, target)
            case "cache":
                volume = CacheVolume(f"dockerfile {mount.id or target}")
                owner = ""
                if mount.uid is not None or mount.gid is not None:
                    owner = f"{mount.uid or 0}:{mount.gid or 0}"
                sharing = (mount.sharing or "shared").upper()
                made = MountedCache(target=target, volume=volume, sharing=sharing, owner=owner)
            case "tmpfs":
                made = MountedTemp(target=target, size=mount.size or None)
            case "secret":
                return self._secret(container, mount, target)
            case _:
                raise DockerfileError(f"RUN --mount=type={mount.type} is not supported")
        return container.with_mount(made)

    async def _bind(
        self, source: Directory, mount: Mount, target: str
    ) -> MountedDirectory | MountedFile:
        path = clean(f"{source.path}/{mount.source}")
        snapshot = await source.snapshot.get()

        def is_file() -> bool:
            with self._session.snapshots.view(snapshot) as root:
                try:
                    return not stat.S_ISDIR(root.stat(path).st_mode)
                except OSError:
                    raise EngineError(f'"{mount.source}": not found') from None

        if await asyncio.to_thread(is_file):
            return MountedFile(target=target, source=File(source.snapshot, path))
        inside = Directory(source.snapshot, path)
        # Writable or not, what a command writes to a bind mount is not kept.
        return MountedDirectory(target=target, source=inside, read_only=mount.read_only)

    def _secret(self, container: Container, mount: Mount, target: str) -> Container:
        name = mount.id or os.path.basename(mount.target)
        secret = self._secrets.get(name)
        if secret is None:
            if mount.required:
                raise DockerfileError(f"secret {name}: not found")
            return container
        if mount.env is not None:
            variable = mount.env or name
            container = replace(container, secrets=(*container.secrets, (variable, secret)))
            if not mount.target:
                return container
        made = MountedSecret(
            target=target or f"/run/secrets/{name}",
            secret=secret,
            owner=f"{mount.uid or 0}:{mount.gid or 0}",
            mode=0o400 if mount.mode is None else mount.mode,
        )
        return container.with_mount(made)

    async def _source(self, name: str, index: int) -> Directory:
        """What `--from` names: the context, a stage, a named context or an image."""
        if not name:
            return await self._filtered_context()
        found = self._file.find(name)
        if found is None and name.isdigit() and int(name) < index:
            found = int(name)
        if found is not None and found < index:
            return Directory((await self._stage(found).get()).rootfs)
        if name in self._context.named:
            return self._context.named[name]
        empty = Container(platform=self._platform)
        try:
            return Directory((await self._session.images.pull(empty, name)).rootfs)
        except EngineError as error:
            raise DockerfileError(f"{name}: {error}") from None

    async def _filtered_context(self) -> Directory:
        if not self._ignored:
            return self._context.directory
        what = files.What(selection=Selection(exclude=self._ignored))
        made = files.with_directory(
            self._session.snapshots, Lazy.of(EMPTY), "/", self._context.directory, what
        )
        return Directory(made)

    async def _transfer(self, state: State, line: Copy | Add, index: int) -> Container:
        source = await self._source(line.from_ if isinstance(line, Copy) else "", index)
        env = state.variables
        heredocs = {
            h.name: expand_heredoc(h.content, env) if h.expand else h.content for h in line.heredocs
        }
        request = copying.Transfer(
            sources=tuple(state.word(s) for s in line.sources),
            heredocs=heredocs,
            destination=destination(state, line.destination),
            chown=state.word(line.chown),
            chmod=state.word(line.chmod),
            excludes=tuple(state.word(e) for e in line.excludes),
            parents=isinstance(line, Copy) and line.parents,
            unpack=isinstance(line, Add) and line.unpack is not False,
            checksum=state.word(line.checksum) if isinstance(line, Add) else "",
        )
        rootfs = copying.transferred(self._session, state.container, source, request)
        return replace(state.container, rootfs=rootfs)


def _ignore_patterns(root: Root, folder: str, dockerfile: str) -> tuple[str, ...]:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            text = root.read(f"{folder}/{name}").decode(errors="replace")
        except OSError:
            continue
        return tuple(read_ignore_file(text))
    return ()


def _within_build(rootfs: Lazy[Snapshot]) -> Lazy[Snapshot]:
    """The files, with a failed command told as a failure of the build."""

    async def compute() -> Snapshot:
        try:
            return await rootfs.get()
        except ExecError as error:
            raise error.within("failed to clone built container state") from None

    return Lazy(compute)
