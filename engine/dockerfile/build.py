"""Dockerfiles built with the engine's own operations: each stage is a container that grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.dockerfile.arguments import global_arguments, platform_arguments
from engine.dockerfile.characters import quoted
from engine.dockerfile.directives import check_frontend
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.inputs import Context, Inputs
from engine.dockerfile.instructions import Dockerfile
from engine.dockerfile.parser import parse
from engine.dockerfile.stages import Stages
from engine.dockerfile.suggest import suggestion
from engine.errors import EngineError, ExecError
from engine.lazy import Lazy
from engine.model import Container, MountedSecret, Secret, Socket
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.session import Session


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
        ssh: Socket | None = None,
        init: bool = True,
    ) -> None:
        self._session = session
        self._context = context
        self._platform = platform
        self._arguments = dict(arguments or {})
        self._secrets = dict(secrets or {})
        self._ssh = ssh
        self._init = init

    async def container(self, dockerfile: str, target: str = "") -> Container:
        """The container that the last stage, or the stage `target`, describes.

        Raises DockerfileError for what is wrong in the file; commands run when somebody asks.
        """
        text, context = await self._context.read(self._session, dockerfile)
        inputs = Inputs(
            session=self._session,
            platform=self._platform,
            named=self._context.named,
            context=context,
            arguments=self._arguments,
            secrets=self._secrets,
            ssh=self._ssh,
            init=self._init,
        )
        try:
            file = parse(text, dockerfile)
            check_frontend(file)
            index = _target(file, target)
            stage = file.stages[index].name
            known = platform_arguments(self._platform, self._session.platform, stage)
            values = global_arguments(file, known, self._arguments)
            made = await Stages(file, inputs, values).container(index)
        except DockerfileError as error:
            raise EngineError(f"failed to convert Dockerfile to LLB: {error}") from None
        return self._delivered(made)

    def _delivered(self, made: Container) -> Container:
        """The container as it leaves the build.

        As in the real engine, it has the build's secrets: their values stay out of what it says.
        """
        for name, secret in self._secrets.items():
            made = made.with_mount(MountedSecret(target=f"/run/secrets/{name}", secret=secret))
        return replace(made, rootfs=_within_build(made.rootfs))


def _target(file: Dockerfile, name: str) -> int:
    if not name:
        return len(file.stages) - 1
    found = file.find(name)
    if found is None:
        close = suggestion(name, [stage.name for stage in file.stages if stage.name])
        raise DockerfileError(f"target stage {quoted(name)} could not be found{close}")
    return found


def _within_build(rootfs: Lazy[Snapshot]) -> Lazy[Snapshot]:
    """The files, with a failed command told as a failure of the build."""

    async def compute() -> Snapshot:
        try:
            return await rootfs.get()
        except ExecError as error:
            raise error.within("failed to clone built container state") from None

    return Lazy(compute)
