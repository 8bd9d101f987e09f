"""What is told of a container's settings, and what they mean together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dagger
import pytest

from tests.engine.api.conftest import IMAGE

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.user(),
        lambda c: c.workdir(),
        lambda c: c.entrypoint(),
        lambda c: c.default_args(),
        lambda c: c.platform(),
        lambda c: c.mounts(),
        lambda c: c.env_variable("PATH"),
        lambda c: c.env_variables(),
        lambda c: c.label("a"),
        lambda c: c.labels(),
        lambda c: c.exposed_ports(),
        lambda c: c.as_service(args=["true"]).hostname(),
    ],
)
async def test_nothing_is_told_of_a_chain_that_failed(
    base: dagger.Container, ask: Callable[[dagger.Container], Awaitable[object]]
) -> None:
    failed = base.with_exec(["sh", "-c", "exit 4"]).with_user("me")
    with pytest.raises(dagger.ExecError, match="exit code: 4"):
        await ask(failed)


async def test_a_secret_is_seen_instead_of_a_variable(
    dag: dagger.Client, base: dagger.Container
) -> None:
    secret = dag.set_secret("a name", "a long value")
    both = base.with_secret_variable("S", secret).with_env_variable("S", "plain")
    length = ["sh", "-c", "echo ${#S}"]
    assert await both.with_exec(length).stdout() == "12\n"
    assert await both.env_variable("S") == "plain"
    assert await both.without_secret_variable("S").with_exec(length).stdout() == "5\n"


async def test_what_must_not_be_seen_is_not_expanded(
    dag: dagger.Client, base: dagger.Container
) -> None:
    secret = base.with_secret_variable("S", dag.set_secret("a name", "a long value"))
    with pytest.raises(
        dagger.QueryError, match='expand cannot be used with secret env variable "S'
    ):
        await secret.with_exec(["echo", "${S}"], expand=True).sync()
    volatile = base.with_volatile_variable("V", "1")
    with pytest.raises(dagger.QueryError, match="expand cannot be used with volatile env"):
        await volatile.with_workdir("/$V", expand=True).workdir()


async def test_expansion_knows_no_more_than_names(base: dagger.Container) -> None:
    made = base.with_env_variable("A", "1").with_env_variable(
        "X", "$$|$?|${}|$ |$1b|${A", expand=True
    )
    assert await made.env_variable("X") == "|||$ |b|A"


async def test_an_image_joins_what_a_container_has(dag: dagger.Client) -> None:
    made = dag.container().with_env_variable("A", "1").with_env_variable("PATH", "/none")
    made = made.with_label("l", "2").with_exposed_port(81).with_user("me")
    made = made.with_volatile_variable("V", "3").from_(IMAGE)
    assert await made.env_variable("A") == "1"
    assert await made.env_variable("PATH") != "/none"
    assert await made.label("l") == "2"
    assert [await port.port() for port in await made.exposed_ports()] == [81]
    assert await made.user() == ""
    assert await made.with_exec(["sh", "-c", "echo $V"]).stdout() == "3\n"


async def test_the_reference_of_an_image_is_told_until_it_is_changed(
    dag: dagger.Client, base: dagger.Container
) -> None:
    service = base.as_service(args=["true"])
    reference = await base.image_ref()
    assert await base.with_service_binding("a", service).image_ref() == reference
    changed = [
        base.with_env_variable("A", "1"),
        base.with_exec(["true"]),
        base.with_directory("/d", dag.directory()),
        base.with_mounted_temp("/t"),
        base.with_annotation("a", "1"),
        dag.container(),
    ]
    for each in changed:
        with pytest.raises(dagger.QueryError, match="only be retrieved immediately after the"):
            await each.image_ref()


async def test_default_arguments_of_ones_own_are_a_services_whole_command(
    base: dagger.Container,
) -> None:
    image = base.with_exposed_port(8000).with_entrypoint(["false"])
    server = ["python3", "-m", "http.server", "8000"]
    own = image.with_default_args(server)
    await own.as_service().start()
    with pytest.raises(dagger.QueryError):
        await own.as_service(use_entrypoint=True).start()
    with pytest.raises(dagger.QueryError):
        await image.as_service().start()


async def test_a_service_needs_a_command(dag: dagger.Client) -> None:
    with pytest.raises(dagger.QueryError, match="no service command has been set"):
        await dag.container().as_service().hostname()


async def test_ports_that_an_image_lists_are_not_waited_for(
    dag: dagger.Client, base: dagger.Container
) -> None:
    listing = dag.directory().with_new_file("Dockerfile", f"FROM {IMAGE}\nEXPOSE 81 82/udp\n")
    image = listing.docker_build()
    ports = [await port.port() for port in await image.exposed_ports()]
    assert sorted(ports) == [81, 82]
    service = image.as_service(args=["sleep", "60"])
    await service.start()  # though nothing listens
    assert await service.ports() == []
    with pytest.raises(dagger.QueryError, match="no ports exposed"):
        await service.endpoint()
    own = image.with_exposed_port(83)
    assert [await port.port() for port in await own.as_service(args=["sleep"]).ports()] == [83]
    assert await own.without_exposed_port(83).exposed_ports() == []
