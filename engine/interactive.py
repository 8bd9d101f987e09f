"""Terminals in containers: what `terminal` of the API does, for as long as the user stays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.executor.console import Console
from engine.executor.interactive import Interactive
from engine.executor.spec import Meta
from engine.model import Container, ContainerService
from engine.preparation import Exec, inputs_of, prepared
from engine.terminal import ClientTerminal

if TYPE_CHECKING:
    from engine.session import Session

# As any terminal of a container has it, unless the container says otherwise.
_ENVIRONMENT = (("TERM", "xterm"), ("PS1", "dagger ${PWD} $ "))


class Terminals:
    """The terminals of a session: one at a time, as the user has one."""

    def __init__(self, session: Session, client: ClientTerminal, run_folder: Path) -> None:
        self._session = session
        self._client = client
        self._interactive = Interactive(run_folder / "terminals", run_folder / "crun")

    async def open(self, container: Container, args: Sequence[str], *, privileged: bool) -> None:
        """Open a terminal in a container, as its files are; what is changed there is not kept.

        How the terminal's command ends is its user's business. Raises EngineError without a
        terminal, ExecError for a command that is not there.
        """
        session = self._session
        container = _with_defaults(container)
        command = Exec(args=tuple(args), privileged=privileged)
        inputs = await inputs_of(container)
        async with AsyncExitStack() as stack:
            terminal = await self._taken(stack)
            hosts = await stack.enter_async_context(session.services.bound(container.services))
            ready = await stack.enter_async_context(
                prepared(session, container, inputs, command, hosts)
            )
            network = ready.namespace.path
            console = stack.enter_context(self._console(terminal, container, ready.meta))
            await self._interactive.run(ready.meta, ready.rootfs.merged, network, console)

    async def open_within(self, service: ContainerService, args: Sequence[str]) -> None:
        """Open a terminal in the container of a service, which is started if it is not up."""
        async with AsyncExitStack() as stack:
            terminal = await self._taken(stack)
            running = await stack.enter_async_context(self._session.services.held(service))
            ready = running.up.ready
            assert ready is not None
            env = (*ready.meta.env, *_missing(ready.meta.env))
            meta = replace(ready.meta, args=tuple(args), env=env)
            console = stack.enter_context(self._console(terminal, service.container, meta))
            await self._interactive.run_within(ready.namespace.name, meta, console)

    async def _taken(self, stack: AsyncExitStack) -> int:
        """The user's terminal when it is our turn. Raises EngineError if there is none."""
        await stack.enter_async_context(self._client.turn)
        return stack.enter_context(self._client.opened())

    @contextmanager
    def _console(self, terminal: int, container: Container, meta: Meta) -> Iterator[Console]:
        said = f"● Attaching terminal: {' '.join(meta.args)} in {meta.cwd}\r\n"
        os.write(terminal, said.encode())
        with self._client.raw(terminal):
            yield Console(terminal, self._session.secret_values(container))


def _with_defaults(container: Container) -> Container:
    given = (*container.env, *((name, "") for name, _ in container.secrets))
    return replace(container, env=(*container.env, *_missing(given)))


def _missing(given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    names = {name for name, _ in given}
    return tuple((name, value) for name, value in _ENVIRONMENT if name not in names)
