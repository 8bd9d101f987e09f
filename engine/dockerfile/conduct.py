"""What each instruction of a stage does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from engine.dockerfile import copying, running, state as stage
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.inputs import Inputs
from engine.dockerfile.instructions import (
    Add,
    AnyInstruction,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from engine.dockerfile.owners import find_owner
from engine.dockerfile.sources import Sources
from engine.dockerfile.state import State
from engine.lazy import Lazy
from engine.model import Container
from engine.root import Root
from engine.snapshot import Snapshot


class Conduct:
    """Carries instructions out; what touches files is done when somebody asks for them."""

    def __init__(self, inputs: Inputs, sources: Sources, values: Mapping[str, str]) -> None:
        self._inputs = inputs
        self._sources = sources
        self._values = values

    def apply(self, state: State, line: AnyInstruction, place: Place) -> None:
        """Change the stage as one instruction says. Raises DockerfileError."""
        container = state.container
        match line:
            case Run():
                state.container = running.after(self._inputs, self._sources, state, line, place)
            case Copy() | Add():
                state.container = copying.after(self._inputs, self._sources, state, line, place)
            case Workdir():
                state.container = self._in_folder(container, state.word(line.path), place)
            case User():
                state.container = replace(container, user=state.word(line.user))
            case Shell():
                state.container = replace(container, shell=line.argv)
            case Onbuild():
                state.container = replace(container, onbuild=(*container.onbuild, line.expression))
            case Arg():
                stage.declare(state, line, self._inputs.arguments, self._values)
            case _:
                _configure(state, line)

    def _in_folder(self, container: Container, path: str, place: Place) -> Container:
        path = container.absolute(path)
        changed = replace(container, workdir=path)
        if path == "/":
            return changed
        snapshots = self._inputs.session.snapshots
        user = container.user

        def make(root: Root) -> None:
            try:
                root.make_dirs(path, owner=find_owner(root, user))
            except NotADirectoryError:
                raise DockerfileError(f"mkdir {path}: not a directory") from None

        async def compute() -> Snapshot:
            base = await container.rootfs.get()
            key = f"workdir {path}" + (f" of {user}" if user else "")
            with place.blamed():
                return await asyncio.to_thread(snapshots.change, base, key, make)

        return replace(changed, rootfs=Lazy(compute))


def _configure(state: State, line: AnyInstruction) -> None:
    match line:
        case Env():
            stage.set_variables(state, line)
        case Label():
            stage.set_labels(state, line)
        case Expose():
            stage.expose(state, line)
        case Cmd():
            stage.set_command(state, line)
        case Entrypoint():
            stage.set_entrypoint(state, line)
        case Healthcheck():
            stage.set_healthcheck(state, line)
        case Stopsignal():
            stage.set_stop_signal(state, line)
        case Volume():
            stage.add_volumes(state, line)
        case Maintainer():
            stage.set_author(state, line)
