"""Terminals in containers: what `terminal` of the API does, for as long as the user stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.command import Exec, failure, inputs_of
from engine.errors import EngineError, ExecError
from engine.executor.console import Console
from engine.executor.interactive import Interactive
from engine.executor.output import Output
from engine.executor.spec import Meta
from engine.model import Container, ContainerService
from engine.preparation import Prepared, prepared
from engine.shell import LINE_EDITING
from engine.terminal import ClientTerminal

if TYPE_CHECKING:
    from engine.session import Session

# As any terminal of a container has it, unless the container says otherwise.
_ENVIRONMENT = (("TERM", "xterm"), ("PS1", "dagger ${PWD} $ "))

_STARTING_SECONDS = 0.005
_SHOWN = 20
"""Lines of a failed command's output."""


class Terminals:
    """The terminals of a session: one at a time, as the user has one."""

    def __init__(self, session: Session, client: ClientTerminal, run_folder: Path) -> None:
        self._session = session
        self._client = client
        self._offered = False
        self._interactive = Interactive(run_folder / "terminals", run_folder / "crun")

    async def open(self, container: Container, args: Sequence[str], *, privileged: bool) -> None:
        """Open a terminal in a container, as its files are; what is changed there is not kept.

        How the terminal's command ends is its user's business. Raises EngineError without a
        terminal, ExecError for a command that is not there.
        """
        session = self._session
        command = Exec(args=tuple(args), privileged=privileged)
        inputs = await inputs_of(container)
        async with AsyncExitStack() as stack:
            terminal = await self._taken(stack)
            bound = await stack.enter_async_context(session.services.bound(container.services))
            ready = await stack.enter_async_context(
                prepared(session, container, inputs, command, bound.hosts)
            )
            meta = _attended(ready.meta, args)
            network = ready.namespace.path
            _announce(terminal, meta)
            console = stack.enter_context(self._console(terminal, container))
            try:
                await self._interactive.run(meta, ready.rootfs.merged, network, console)
            except ExecError as error:
                raise failure(session, args, str(error)) from None

    async def open_within(self, service: ContainerService, args: Sequence[str]) -> None:
        """Open a terminal in the container of a service, which is started if it is not up."""
        async with AsyncExitStack() as stack:
            terminal = await self._taken(stack)
            running = await stack.enter_async_context(self._session.services.held(service))
            ready = running.up.ready
            assert ready is not None
            meta = _attended(ready.meta, args)
            # A service without ports is up before its container is there.
            name = ready.namespace.name
            while not self._interactive.runs(name) and not running.work.done():
                await asyncio.sleep(_STARTING_SECONDS)
            _announce(terminal, meta)
            console = stack.enter_context(self._console(terminal, service.container))
            await self._interactive.run_within(name, meta, console)

    async def offer(self, container: Container, ready: Prepared, output: Output) -> None:
        """Open a terminal where the session's first command has failed, if its user wants that.

        The command's container is as the command left it; what it last wrote is shown before.
        """
        if self._offered or not self._session.settings.interactive:
            return
        self._offered = True
        args = container.terminal_args or LINE_EDITING
        meta = _attended(ready.meta, args)
        async with AsyncExitStack() as stack:
            try:
                terminal = await self._taken(stack)
            except EngineError:
                return  # the failure itself is what counts
            self._session.event("failed exec's terminal")
            _write(terminal, _last_lines(output.combined.tail()))
            command = " ".join(self._session.without_secrets(ready.meta.args))
            _write(terminal, f"✘ Exec failed, attaching terminal: {command}\n")
            network = ready.namespace.path
            console = stack.enter_context(self._console(terminal, container))
            await self._interactive.run(meta, ready.rootfs.merged, network, console)

    async def _taken(self, stack: AsyncExitStack) -> int:
        """The user's terminal when it is our turn. Raises EngineError if there is none."""
        await stack.enter_async_context(self._client.turn)
        return stack.enter_context(self._client.opened())

    @contextmanager
    def _console(self, terminal: int, container: Container) -> Iterator[Console]:
        with self._client.raw(terminal):
            yield Console(terminal, self._session.secret_values(container))


def _attended(meta: Meta, args: Sequence[str]) -> Meta:
    """A container's process for a user at a terminal."""
    names = {name for name, _ in meta.env}
    missing = tuple((name, value) for name, value in _ENVIRONMENT if name not in names)
    return replace(meta, args=tuple(args), env=(*meta.env, *missing))


def _announce(terminal: int, meta: Meta) -> None:
    _write(terminal, f"● Attaching terminal in {meta.cwd}\n")


def _write(terminal: int, text: str) -> None:
    os.write(terminal, text.encode())


def _last_lines(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines()[-_SHOWN:])
