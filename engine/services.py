"""Services: containers that run beside execs, started when somebody needs them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bindings import Bound, Running, Up
from engine.command import Exec, container_mounts_key, failure, inputs_of
from engine.errors import EngineError, ExecError
from engine.forwarding import into_container, out_of_container
from engine.healthprobe import until_up
from engine.lazy import Lazy, ended, together
from engine.model import (
    ContainerService,
    HostService,
    PortForward,
    Service,
    Tunnel,
    service_ports,
)
from engine.preparation import prepared
from engine.store import digest
from engine.watch import TimeOver, watched

if TYPE_CHECKING:
    from engine.executor.output import Output
    from engine.preparation import Prepared
    from engine.session import Session

DETACH_SECONDS = 10.0
"""How long a service is kept after its last client ended, as recorded: the next one may follow."""

_TAIL = 64 * 1024
_LAST_PORT = 65535


class Services:
    """The services of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._starting: dict[str, Lazy[Running]] = {}
        self._running: dict[str, Running] = {}
        self._keys: dict[int, tuple[Service, str]] = {}

    async def key(self, service: Service) -> str:
        """What stands for a service in keys: equal containers with equal commands are one."""
        held = self._keys.get(id(service))
        if held is None:
            held = service, await self._key(service)
            self._keys[id(service)] = held
        return held[1]

    async def _key(self, service: Service) -> str:
        match service:
            case HostService():
                ports = [[p.backend, p.frontend, p.protocol] for p in service.ports]
                return digest("host service", service.host, ports, service.hostname)
            case Tunnel():
                forwards = [[p.backend, p.frontend] for p in service.ports]
                return digest("tunnel", await self.key(service.service), forwards, service.native)
        container = service.container
        inputs = await inputs_of(container)
        bound = [[alias, await self.key(other)] for alias, other in container.services]
        return digest(
            "service",
            *(inputs.rootfs.key, service.args, service.hostname, container.env, container.user),
            *(container.workdir, await container_mounts_key(self._session, container, inputs)),
            *([(n, s.key) for n, s in container.secrets], bound, service.privileged),
            [(p.port, p.protocol) for p in container.own_ports],
        )

    async def hostname(self, service: Service) -> str:
        """The name under which other containers reach the service."""
        if not isinstance(service, Tunnel) and service.hostname:
            return service.hostname
        raw = hashlib.sha256((await self.key(service)).encode()).digest()
        return base64.b32hexencode(raw[:8]).decode().lower().rstrip("=")

    def hosts(self) -> list[tuple[str, str]]:
        """Address and host name of all that is running."""
        return [(r.up.address, r.up.hostname) for r in self._running.values() if r.up.address]

    @asynccontextmanager
    async def bound(self, bindings: Sequence[tuple[str, Service]]) -> AsyncIterator[Bound]:
        """The services of a container, running."""
        async with AsyncExitStack() as stack:

            async def hold(alias: str, service: Service) -> tuple[str, Running]:
                running = await self._held(alias, service)
                stack.callback(self._leave, running)
                return alias, running

            found = await together(*(hold(alias, service) for alias, service in bindings))
            aliases = [(running.up.address, alias) for alias, running in found]
            yield Bound(found, [*aliases, *self.hosts()])

    @asynccontextmanager
    async def held(self, service: Service) -> AsyncIterator[Running]:
        """A service, up for as long as this is held. Raises ExecError."""
        running = await self._held("terminal", service)
        try:
            yield running
        finally:
            self._leave(running)

    async def _held(self, alias: str, service: Service) -> Running:
        try:
            running = await self._up(service)
        except ExecError as error:
            name = await self.hostname(service)
            raise error.within(f"start {name} (aliased as {alias})") from None
        running.clients += 1
        return running

    def _leave(self, running: Running) -> None:
        running.clients -= 1
        self._end_if_unused(running)

    def _end_if_unused(self, running: Running) -> None:
        """End a service in a while, unless somebody uses it by then."""

        def end() -> None:
            if not running.clients and not running.kept:
                running.work.cancel()

        if running.leaving is not None:
            running.leaving.cancel()
        running.leaving = asyncio.get_running_loop().call_later(DETACH_SECONDS, end)

    async def start(self, service: Service) -> Running:
        """Start a service and keep it until `stop` or the session's end. Raises ExecError."""
        running = await self._up(service)
        running.kept = True
        return running

    async def stop(self, service: Service, *, kill: bool = False) -> None:
        """Stop a service, without a grace if `kill`; one that does not run is fine."""
        running = self._running.get(await self.key(service))
        if running is not None:
            if kill and running.up.ready is not None:
                self._session.kill(running.up.ready)
            await ended(running.work)

    async def close(self) -> None:
        """Stop all that runs, side by side: each may take its time to end."""
        await asyncio.gather(*(ended(running.work) for running in self._running.values()))

    async def _up(self, service: Service) -> Running:
        key = await self.key(service)
        running = self._running.get(key)
        if running is not None and not running.work.done() and not running.work.cancelling():
            return running
        starting = self._starting.get(key)
        if starting is None:
            starting = self._starting[key] = Lazy(lambda: self._started(service, key))
        return await starting.get()

    async def _started(self, service: Service, key: str) -> Running:
        try:
            return await self._start(service, key)
        finally:
            self._starting.pop(key, None)

    async def _start(self, service: Service, key: str) -> Running:
        _check_ports(service)
        ending = self._running.get(key)
        if ending is not None:
            await asyncio.wait([ending.work])
        name = await self.hostname(service)
        up: asyncio.Future[Up] = asyncio.get_running_loop().create_future()
        match service:
            case ContainerService():
                body = self._container(service, name, up)
            case HostService():
                body = self._host(service, name, up)
            case Tunnel():
                body = self._tunnel(service, up)
        work = asyncio.create_task(body)
        try:
            await asyncio.wait((work, up), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            up.cancel()
            await ended(work)
            raise
        if not up.done():
            await work  # raises what kept it from coming up
            raise EngineError(f"service {name} ended before it was up")
        running = Running(up.result(), work)
        self._running[key] = running
        work.add_done_callback(lambda _: self._gone(key, running))
        self._end_if_unused(running)  # who asked for it may have gone away
        return running

    def _gone(self, key: str, running: Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]
        if not running.work.cancelled():
            running.work.exception()  # who uses the service sees it fail; nobody awaits the task

    async def _container(
        self, service: ContainerService, name: str, up: asyncio.Future[Up]
    ) -> None:
        session, container = self._session, service.container
        command = Exec(args=service.args, privileged=service.privileged, init=service.init)
        output = session.output(container, limit=_TAIL)
        async with AsyncExitStack() as stack:
            bound = await stack.enter_async_context(self.bound(container.services))
            inputs = await inputs_of(container)
            words = ["service", name, *session.without_secrets(command.args)]
            output.heard = stack.enter_context(session.progress.task(words)).hear
            async with prepared(session, container, inputs, command, bound.hosts, name) as ready:
                run = asyncio.create_task(session.execute(ready, output))
                try:
                    async with bound.needed():
                        await self._until_up(service, ready, run, output)
                        ports = tuple(p.port for p in container.own_ports)
                        up.set_result(Up(name, ready.namespace.address, ports, ready))
                        if await asyncio.shield(run):
                            raise self._exited(service, run.result(), output)
                finally:
                    await ended(run)

    async def _until_up(
        self, service: ContainerService, ready: Prepared, run: asyncio.Task[int], output: Output
    ) -> None:
        """Wait until a service is up. Raises ExecError if it ends before, or is too late."""
        coming = asyncio.create_task(until_up(self._session, service, ready))
        try:
            async with watched(self._session, service.args):
                await asyncio.wait([coming, run], return_when=asyncio.FIRST_COMPLETED)
        except TimeOver as error:
            said = f"its ports do not answer: {error}"
            raise failure(
                self._session, service.args, said, output=output, stripped=False
            ) from None
        finally:
            if not coming.done():
                await ended(coming)
        if run.done():
            raise self._exited(service, run.result(), output)
        coming.result()

    def _exited(self, service: ContainerService, code: int, output: Output) -> ExecError:
        message = f"exit code: {code}" if code else "service exited before healthcheck"
        return failure(
            self._session,
            service.args,
            message,
            exit_code=code or -1,
            output=output,
            stripped=False,
        )

    async def _host(self, service: HostService, name: str, up: asyncio.Future[Up]) -> None:
        """Ports of the client's machine in a namespace of their own."""
        network = self._session.network
        namespace = await network.acquire()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(network.release, namespace)
            for forward in service.ports:
                listening = into_container(network, namespace.name, service.host, forward)
                await stack.enter_async_context(listening)
            ports = tuple(p.frontend or p.backend for p in service.ports)
            up.set_result(Up(name, namespace.address, ports))
            await asyncio.Event().wait()

    async def _tunnel(self, tunnel: Tunnel, up: asyncio.Future[Up]) -> None:
        """A service's ports on the client's loopback."""
        network = self._session.network
        async with AsyncExitStack() as stack:
            bound = await stack.enter_async_context(self.bound([("tunnel", tunnel.service)]))
            address, ports = bound.hosts[0][0], []
            for forward in self._tunnelled(tunnel):
                listening = out_of_container(network, address, forward)
                ports.append(await stack.enter_async_context(listening))
            up.set_result(Up("127.0.0.1", "", tuple(ports)))
            async with bound.needed():
                await asyncio.Event().wait()

    def _tunnelled(self, tunnel: Tunnel) -> list[PortForward]:
        own = service_ports(tunnel.service)
        native = [replace(port, frontend=port.backend) for port in own if tunnel.native]
        return [*native, *tunnel.ports] or own


def _check_ports(service: Service) -> None:
    """Refuse what is no port before a container runs. Raises EngineError."""
    named = [port.backend for port in service_ports(service)]
    if not isinstance(service, ContainerService):
        named += [number for p in service.ports for number in (p.backend, p.frontend or 0)]
    for number in named:
        if not 0 <= number <= _LAST_PORT:
            raise EngineError(f"there is no port {number}: ports are 0 to {_LAST_PORT}")
