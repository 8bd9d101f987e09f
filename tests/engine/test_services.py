"""Services come up once, in order, and end with their last client; no container runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import services
from engine.command import Exec
from engine.errors import EngineError, ExecError
from engine.execution import with_exec
from engine.lazy import Lazy
from engine.model import Container, ContainerService, Healthcheck, Port, Ran, Service, Tunnel
from engine.session import Session
from engine.store import Store
from tests.engine.fake_runtime import FakeRuntime, Process, snapshot, until

pytestmark = pytest.mark.anyio

BASE = {"etc/hosts": "", "etc/resolv.conf": ""}
PORT = 8080
ENDING_SECONDS = 0.2
MS = 10**6


class Machine(FakeRuntime):
    """A machine whose services write what happens into `log`."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.program(self.serve)
        self.program(self.die)
        self.program(self.ask)
        self.program(self.silent)
        self.program(self.stop)
        self.program(self.probe)

    async def serve(self, process: Process) -> int:
        """Listen after a while; end a while after being told to."""
        name = process.args[1]
        self.log.append(f"{name} starts")
        await asyncio.sleep(0.02)
        process.listen(PORT)
        self.log.append(f"{name} listens")
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append(f"{name} is told to end")
            await asyncio.sleep(ENDING_SECONDS)
            self.log.append(f"{name} ends")
        return 0

    async def die(self, process: Process) -> int:
        """End before anybody listens."""
        process.out("begins\n")
        process.err(f"cannot: {process.env.get('TOKEN')}\n")
        await asyncio.sleep(0.02)
        return int(process.args[1])

    async def silent(self, process: Process) -> int:
        """Never listen."""
        process.out("waits for ever\n")
        await asyncio.Event().wait()
        return 0

    async def stop(self, process: Process) -> int:
        """End once its client runs."""
        await until(lambda: "silent client" in self.ran)
        return int(process.args[1])

    async def probe(self, process: Process) -> int:
        """A health check that passes after some time."""
        self.log.append("probe")
        process.out("asked\n")
        process.err("not yet\n")
        return int(self.count("probe") < int(process.env["PASSES"]))

    async def ask(self, process: Process) -> int:
        """A client: tell the address of each service that it knows by an alias."""
        hosts = process.hosts()
        process.out(" ".join(hosts[name] for name in process.args[1:]))
        self.log.append("asks")
        await asyncio.sleep(0.02)
        return 0

    def count(self, line: str) -> int:
        """How often something happened."""
        return self.log.count(line)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)  # a session leaves for the layers
    monkeypatch.setattr(services, "DETACH_SECONDS", 0.1)
    return Store(tmp_path / "store")


@pytest.fixture
async def session(machine: Machine, store: Store) -> AsyncIterator[Session]:
    async with machine.session(store) as session:
        yield session


@pytest.fixture
def container(store: Store) -> Container:
    rootfs = Lazy.of(snapshot(store, BASE))
    return Container(platform="linux/amd64", rootfs=rootfs, ports=(Port(port=PORT),))


def service(container: Container, *args: str, **bound: Service) -> ContainerService:
    """A service with others bound to it."""
    return ContainerService(container=replace(container, services=tuple(bound.items())), args=args)


async def ask(session: Session, container: Container, *words: str, **bound: Service) -> str:
    """What a client of services prints."""
    client = replace(container, services=tuple(bound.items()))
    made = with_exec(session, client, Exec(args=("ask", *words)))
    assert made.ran is not None
    ran: Ran = await made.ran.get()
    assert isinstance(ran.stdout, str)
    return ran.stdout


async def passed(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def left(machine: Machine) -> None:
    """Wait until nothing runs any more."""
    await until(lambda: not machine.namespaces)


async def test_two_clients_at_the_same_time_share_one_service(
    machine: Machine, session: Session, container: Container
) -> None:
    first, second = await asyncio.gather(
        ask(session, container, "db", db=service(container, "serve", "db")),
        ask(session, container, "data", data=service(container, "serve", "db")),
    )
    assert first == second != ""
    assert machine.ran[0] == "serve db"
    assert machine.count("db starts") == 1
    assert machine.log.index("db listens") < machine.log.index("asks")


async def test_service_is_up_before_the_one_that_is_bound_to_it_starts(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    web = service(container, "serve", "web", db=db)
    await ask(session, container, "web", web=web)
    assert machine.log[:5] == ["db starts", "db listens", "web starts", "web listens", "asks"]
    [found] = [process for process in machine.processes if process.args == ("serve", "web")]
    assert found.hosts()["db"] == machine.processes[0].address


async def test_services_of_one_client_start_side_by_side(
    machine: Machine, session: Session, container: Container
) -> None:
    meeting = asyncio.Barrier(3)

    @machine.program
    async def meet(process: Process) -> int:
        await meeting.wait()
        process.listen(PORT)
        await asyncio.Event().wait()
        return 0

    bound: dict[str, Service] = {name: service(container, "meet", name) for name in "abc"}
    async with asyncio.timeout(20):
        await ask(session, container, *bound, **bound)
    assert sorted(machine.ran) == ["ask a b c", "meet a", "meet b", "meet c"]


async def test_recalled_command_starts_no_service(
    machine: Machine, store: Store, container: Container
) -> None:
    db = service(container, "serve", "db")
    for _ in range(2):
        async with machine.session(store) as session:
            await ask(session, container, "db", db=db)
    assert machine.ran == ["serve db", "ask db"]


@pytest.mark.parametrize(
    ("code", "message", "exit_code"),
    [("3", "exit code: 3", 3), ("0", "service exited before healthcheck", -1)],
)
async def test_service_that_ends_before_it_is_ready_is_told_with_its_output_and_not_remembered(
    code: str,
    message: str,
    exit_code: int,
    machine: Machine,
    session: Session,
    container: Container,
) -> None:
    secret = session.set_secret("token", "hunter22")
    dying = service(replace(container, secrets=(("TOKEN", secret),)), "die", code)
    name = await session.services.hostname(dying)
    for _ in range(2):
        with pytest.raises(ExecError) as failed:
            await ask(session, container, "db", db=dying)
        error = failed.value
        assert str(error) == f"start {name} (aliased as db): {message}"
        assert (error.exit_code, error.command) == (exit_code, ["die", code])
        assert (error.stdout, error.stderr) == ("begins\n", "cannot: ***\n")
    assert machine.ran == [f"die {code}"] * 2
    assert machine.namespaces == set()


async def test_a_secret_in_the_command_of_a_service_is_not_told(
    session: Session, container: Container
) -> None:
    session.set_secret("token", "hunter22")
    with pytest.raises(ExecError) as failed:
        await session.services.start(service(container, "die", "3", "--token=hunter22"))
    assert failed.value.command == ["die", "3", "--token=***"]


async def test_service_without_a_port_to_wait_for_is_up_at_once(
    machine: Machine, session: Session, container: Container
) -> None:
    unchecked = replace(
        container, ports=(Port(port=1, skip_healthcheck=True), Port(port=2, protocol="UDP"))
    )
    assert await ask(session, container, "s", s=service(unchecked, "silent"))


async def test_service_whose_port_never_answers_is_given_up_in_time(
    machine: Machine, store: Store, container: Container
) -> None:
    async with machine.session(store, exec_seconds=1) as session:
        with pytest.raises(ExecError, match=r"aliased as db\): .*time limit") as failed:
            async with asyncio.timeout(20):
                await ask(session, container, "db", db=service(container, "silent"))
        assert failed.value.stdout == "waits for ever\n"
        assert machine.namespaces == set()


async def test_service_ends_after_its_last_client(
    machine: Machine, session: Session, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = service(container, "serve", "db")
    monkeypatch.setattr(services, "DETACH_SECONDS", 60)
    await ask(session, container, "db", db=db)
    [running] = session.services._running.values()
    first = running.leaving
    assert first is not None
    await ask(session, container, "db", "db", db=db)
    # The first client's leaving set an end, which the second one's put off.
    assert first.cancelled() and running.leaving is not first
    assert (machine.count("db starts"), machine.count("db is told to end")) == (1, 0)
    monkeypatch.setattr(services, "DETACH_SECONDS", 0.1)
    await ask(session, container, "db", "db", "db", db=db)
    await left(machine)
    assert machine.log[-2:] == ["db is told to end", "db ends"]
    assert (machine.count("db starts"), machine.namespaces) == (1, set())


async def test_service_that_was_started_by_hand_stays_without_clients(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    await session.services.start(db)
    await ask(session, container, "db", db=db)
    await passed(0.2)
    assert machine.count("db is told to end") == 0
    await session.services.stop(db)
    assert (machine.log[-1], machine.namespaces) == ("db ends", set())


async def test_client_that_comes_while_its_service_ends_gets_one_that_lives(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    first = await ask(session, container, "db", "db", db=db)
    await until(lambda: machine.count("db is told to end") == 1)
    second = await ask(session, container, "db", db=db)
    assert first.split()[0] != second
    assert machine.count("db starts") == 2
    assert machine.log.index("db ends") < machine.log.index("asks", machine.log.index("asks") + 1)


async def test_service_that_died_is_started_again_for_the_next_client(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    running = await session.services.start(db)
    assert running.up.ready is not None
    session.kill(running.up.ready)
    await asyncio.wait([running.work])
    assert session.services.hosts() == []
    await ask(session, container, "db", db=db)
    assert machine.count("db starts") == 2


async def test_service_that_is_started_while_it_is_about_to_end_stays(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    await ask(session, container, "db", db=db)
    await session.services.start(db)
    await passed(0.2)
    assert machine.count("db is told to end") == 0


async def test_killed_service_is_over_and_can_be_stopped_again(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    await session.services.start(db)
    for kill in (True, False):
        await session.services.stop(db, kill=kill)
        assert session.services.hosts() == []


async def test_services_end_side_by_side_with_the_session(
    machine: Machine, store: Store, container: Container
) -> None:
    async with machine.session(store) as session:
        for name in "abcd":
            await session.services.start(service(container, "serve", name))
    told, ended = sorted(machine.log[-8:-4]), sorted(machine.log[-4:])
    assert told == [f"{name} is told to end" for name in "abcd"]
    assert ended == [f"{name} ends" for name in "abcd"]
    assert machine.namespaces == set()


async def test_client_that_goes_away_ends_a_service_on_its_way_up(
    machine: Machine, session: Session, container: Container
) -> None:
    asking = asyncio.create_task(
        ask(session, container, "db", db=service(container, "silent", "db"))
    )
    await until(lambda: machine.ran == ["silent db"])
    assert len(machine.namespaces) == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert machine.namespaces == set()


async def test_service_on_its_way_up_stays_for_who_still_waits(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    going, staying = (
        asyncio.create_task(ask(session, container, *words, db=db))
        for words in (("db",), ("db", "db"))
    )
    while not machine.count("db starts"):
        await asyncio.sleep(0)
    going.cancel()
    assert await staying
    assert machine.count("db starts") == 1


async def test_service_whose_sibling_fails_is_left_by_its_client(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    bad = service(container, "die", "3", db=db)
    with pytest.raises(ExecError, match="aliased as bad"):
        await ask(session, container, "db", db=db, bad=bad)
    await left(machine)
    assert machine.log[-1:] == ["db ends"]
    assert machine.namespaces == set()


async def test_failure_of_a_service_below_is_told_with_the_way_to_it(
    machine: Machine, session: Session, container: Container
) -> None:
    web = service(container, "serve", "web", db=service(container, "die", "3"))
    with pytest.raises(ExecError, match=r"aliased as web\): start .*aliased as db\): exit code: 3"):
        await ask(session, container, "web", web=web)
    assert machine.count("web starts") == 0


async def test_tunnel_holds_its_service_up(
    machine: Machine, session: Session, container: Container
) -> None:
    db = service(container, "serve", "db")
    tunnel = Tunnel(service=db, ports=())
    running = await session.services.start(tunnel)
    assert running.up.hostname == "127.0.0.1"
    assert len(running.up.ports) == 1
    await passed(0.2)
    assert machine.count("db is told to end") == 0
    await session.services.stop(tunnel)
    await left(machine)
    assert machine.log[-1] == "db ends"


async def test_service_whose_container_cannot_be_made_is_no_service(
    machine: Machine, session: Session, container: Container
) -> None:
    async def broken() -> Any:
        raise EngineError("no such image")

    db = service(replace(container, rootfs=Lazy(broken)), "serve", "db")
    with pytest.raises(EngineError, match="no such image"):
        await ask(session, container, "db", db=db)
    assert machine.processes == []


async def test_client_of_a_service_that_exits_is_given_up(
    machine: Machine, session: Session, container: Container
) -> None:
    below = service(replace(container, ports=()), "stop", "3")
    above = service(replace(container, ports=()), "silent", below=below)
    client = replace(container, services=(("app", above),))
    names = [await session.services.hostname(each) for each in (above, below)]
    with pytest.raises(EngineError) as failed:
        async with asyncio.timeout(60):
            await with_exec(session, client, Exec(args=("silent", "client"))).rootfs.get()
    assert str(failed.value) == (
        f"bound service {names[0]} (aliased as app) exited: "
        f"bound service {names[1]} (aliased as below) exited: exit code: 3"
    )
    assert machine.namespaces == set()


async def test_client_that_is_not_waited_for_is_cancelled_as_any_other(
    machine: Machine, session: Session, container: Container
) -> None:
    client = replace(container, services=(("db", service(container, "serve", "db")),))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await with_exec(session, client, Exec(args=("silent",))).rootfs.get()


@pytest.mark.parametrize(
    ("passes", "check", "asked"),
    [
        (3, Healthcheck(args=("probe",), start_interval=MS), 3),
        (9, Healthcheck(args=("probe",), start_interval=MS), 3),
        (9, Healthcheck(args=("probe",), interval=MS, retries=5), 5),
        (9, Healthcheck(args=("probe",), interval=MS, start_period=10**12), 9),
    ],
)
async def test_health_check_says_when_a_service_is_up(
    machine: Machine,
    session: Session,
    container: Container,
    passes: int,
    check: Healthcheck,
    asked: int,
) -> None:
    checked = replace(container, healthcheck=check, env=(("PASSES", str(passes)),))
    asking = ask(session, container, "db", db=service(checked, "silent"))
    if asked == passes:
        assert await asking
    else:
        with pytest.raises(ExecError, match="health check errored: exit code: 1$") as failed:
            await asking
        assert failed.value.command == ["probe"]
        assert (failed.value.stdout, failed.value.stderr) == ("asked\n", "not yet\n")
    assert machine.count("probe") == asked
