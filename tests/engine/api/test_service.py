"""What the recorded cases do not touch of Service."""

from __future__ import annotations

import re
import time
import uuid

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

STUBBORN = "trap 'echo asked > /c/asked' TERM; echo up > /c/up; while :; do sleep 0.1; done"


@pytest.mark.parametrize("kill", [True, False])
async def test_a_service_is_asked_to_end_unless_it_is_killed(
    dag: dagger.Client, base: dagger.Container, kill: bool
) -> None:
    volume = dag.cache_volume(f"test-{uuid.uuid4()}")
    mounted = base.with_mounted_cache("/c", volume)
    service = mounted.as_service(args=["sh", "-c", STUBBORN])
    await service.start()
    wait = mounted.with_exec(["sh", "-c", "until [ -e /c/up ]; do sleep 0.1; done"])
    await wait.sync()
    started = time.monotonic()
    await service.stop(kill=kill)
    seconds = time.monotonic() - started
    left = await mounted.with_exec(["ls", "/c"]).stdout()
    assert left.split() == (["up"] if kill else ["asked", "up"])
    assert (seconds < 7) is kill  # its grace is 8


async def test_the_ports_of_a_service_are_those_of_its_container(base: dagger.Container) -> None:
    exposed = base.with_exposed_port(80, description="web").with_exposed_port(
        53, protocol=dagger.NetworkProtocol.UDP
    )
    found = [
        (await port.port(), await port.protocol(), await port.description())
        for port in await exposed.as_service(args=["true"]).ports()
    ]
    assert sorted(found) == [
        (53, dagger.NetworkProtocol.UDP, None),
        (80, dagger.NetworkProtocol.TCP, "web"),
    ]


async def test_a_service_without_ports_has_no_endpoint(base: dagger.Container) -> None:
    with pytest.raises(dagger.QueryError, match="no ports exposed"):
        await base.as_service(args=["sleep", "60"]).endpoint()


async def test_a_service_runs_its_command_with_the_entrypoint_on_request(
    base: dagger.Container,
) -> None:
    script = "import sys, http.server as h; "
    script += "h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='0.0.0.0')"
    made = base.with_entrypoint(["python3", "-c", script]).with_default_args(["8123"])
    service = made.with_new_file("/srv/f", "served").with_workdir("/srv").with_exposed_port(8123)
    ask = "import urllib.request as r; print(r.urlopen('http://web:8123/f').read().decode())"
    client = base.with_service_binding("web", service.as_service(use_entrypoint=True))
    assert (await client.with_exec(["python3", "-c", ask]).stdout()).strip() == "served"


async def test_a_variable_in_the_command_is_expanded_on_demand(
    dag: dagger.Client, base: dagger.Container
) -> None:
    volume = dag.cache_volume(f"test-{uuid.uuid4()}")
    mounted = base.with_mounted_cache("/c", volume).with_env_variable("NAME", "made")
    command = ["sh", "-c", "touch /c/${NAME}; sleep 60"]
    service = mounted.without_env_variable("NAME").as_service(args=command)
    expanded = mounted.as_service(args=command, expand=True)
    for each in (service, expanded):
        await each.start()
    wait = "for i in $(seq 100); do ls /c/* && exit; sleep 0.1; done"
    assert await mounted.with_exec(["sh", "-c", wait]).stdout() == "/c/made\n"
    for each in (service, expanded):
        await each.stop()


async def test_a_tunnel_tells_the_address_and_the_ports_of_the_client(
    base: dagger.Container, dag: dagger.Client
) -> None:
    web = base.with_exposed_port(8000).as_service(args=["python3", "-m", "http.server"])
    tunnel = await dag.host().tunnel(web).start()
    [port] = await tunnel.ports()
    assert await tunnel.hostname() == "127.0.0.1"
    assert await tunnel.endpoint() == f"127.0.0.1:{await port.port()}"
    await tunnel.stop()


@pytest.mark.parametrize("name", ["two names", "web\n1.2.3.4 example.org", "web#"])
async def test_a_host_name_adds_no_more_than_itself_to_the_hosts_file(
    base: dagger.Container, name: str
) -> None:
    web = base.as_service(args=["sleep", "60"])
    told = re.escape(f"{name!r} cannot be a host name: it has a blank or a # in it")
    with pytest.raises(dagger.QueryError, match=told):
        await web.with_hostname(name).hostname()
    with pytest.raises(dagger.QueryError, match=told):
        await base.with_service_binding(name, web).sync()
