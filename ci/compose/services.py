"""The services of a compose file as services of the engine."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagger

from ci.compose.types import Build, Compose, Mount, MountedText, MountKind, Service
from ci.errors import CheckFailed

# Where the services of one stack leave their marks and logs for each other.
STACK_FOLDER = "/stack"
_SCRIPT = Path(__file__).with_name("service.sh")

Bind = Callable[[str], dagger.Directory | dagger.File]
Step = Callable[[dagger.Container], dagger.Container]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringup:
    """What one bring-up of a stack is made from.

    `key` names the volumes and belongs to the content that is tested; `token` names this very
    bring-up. The token is a secret because an engine keys its memory by a secret's name and never
    by its value: each bring-up has its own marks, and yet asking for the same content again is
    answered from memory, which starts no service at all. A run that died in the middle does no
    harm: its marks are under another token, and its volumes, which have the same names, are
    emptied by the first service of the new bring-up that comes to use them.
    """

    client: dagger.Client
    key: str
    token: dagger.Secret
    owner: str
    bind: Bind
    build: Callable[[Build], dagger.Container]

    def volume(self, name: str) -> dagger.CacheVolume:
        """The cache volume of a named volume, of this stack alone."""
        return self.client.cache_volume(f"brewline-{self.key}-{name}")

    def joined(self, container: dagger.Container) -> dagger.Container:
        """The container as one that sees the marks and logs of the stack."""
        return container.with_secret_variable("STACK_RUN", self.token).with_mounted_cache(
            STACK_FOLDER, self.volume("stack"), owner=self.owner
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A service's image, and what it says that its containers run.

    Its ports are no longer exposed: an engine waits for every exposed port before anything that is
    bound starts, for a job's too, and then fails without the log that tells why. Who depends on a
    service reaches its ports anyway.
    """

    container: dagger.Container
    entrypoint: list[str]
    arguments: list[str]

    @classmethod
    async def of(cls, container: dagger.Container) -> _Image:
        """The image that `container` stands for."""
        # An engine that heeds the image's own check would wait for it in jobs too, as for ports.
        container = container.without_docker_healthcheck()
        for port in await container.exposed_ports():
            container = container.without_exposed_port(
                await port.port(), protocol=await port.protocol()
            )
        return cls(
            container=container,
            entrypoint=await container.entrypoint(),
            arguments=await container.default_args(),
        )

    def command(self, service: Service) -> list[str]:
        """What the service runs; an entrypoint of the file drops the image's command."""
        if service.entrypoint is not None:
            command = [*service.entrypoint, *(service.command or ())]
        else:
            given = self.arguments if service.command is None else service.command
            command = [*self.entrypoint, *given]
        if not command:
            raise CheckFailed(
                f"Neither the compose file nor its image says what {service.name} runs:"
                " give it a 'command'."
            )
        return command


async def services(compose: Compose, bringup: Bringup) -> dict[str, dagger.Service]:
    """Every service of the stack, lazily: none starts before something that it is bound to runs.

    All start at once, and each waits in its own container for what it depends on.
    """
    script = _SCRIPT.read_text()
    images: dict[object, _Image] = {}
    made: dict[str, dagger.Service] = {}
    for service in compose.services.values():
        # Services of one image are many, and each question to the engine takes its time.
        key = service.image if service.build is None else repr(service.build)
        if key not in images:
            images[key] = await _Image.of(_image(service, bringup))
        container = images[key].container.with_(_configured(service, bringup))
        for dependency in service.depends_on:
            needed = compose.services[dependency.service]
            for name in (needed.name, *needed.aliases):
                container = container.with_service_binding(name, made[needed.name])
        command = ["sh", "-c", script, service.name, *images[key].command(service)]
        made[service.name] = container.with_(bringup.joined).as_service(args=command)
        # The SDK asks for the id of whatever a call refers to, all the way down, each time, until
        # a chain has been asked once: without this the questions double with every dependency.
        await made[service.name].id()
    return made


def with_volumes(service: Service, bringup: Bringup) -> Step:
    """Step that mounts the named volumes of a service, for whoever looks at what it wrote."""

    def step(container: dagger.Container) -> dagger.Container:
        for mount in service.mounts:
            if mount.kind is MountKind.NAMED:
                container = container.with_mounted_cache(
                    mount.target, bringup.volume(mount.source), owner=bringup.owner
                )
        return container

    return step


def _image(service: Service, bringup: Bringup) -> dagger.Container:
    if service.build is not None:
        return bringup.build(service.build)
    assert service.image is not None, "the reader refuses a service without both"
    return bringup.client.container().from_(service.image)


def _configured(service: Service, bringup: Bringup) -> Step:
    def step(container: dagger.Container) -> dagger.Container:
        for name, value in {**service.environment, **_plan(service)}.items():
            container = container.with_env_variable(name, value)
        if service.user is not None:
            container = container.with_user(service.user)
        if service.working_dir is not None:
            container = container.with_workdir(service.working_dir)
        image = container
        container = container.with_(with_volumes(service, bringup))
        for mount in service.mounts:
            container = _mounted(container, mount, image, bringup)
        for text in service.texts:
            container = _with_text(container, text, bringup)
        return container

    return step


def _mounted(
    container: dagger.Container, mount: Mount, image: dagger.Container, bringup: Bringup
) -> dagger.Container:
    match mount.kind:
        case MountKind.NAMED:
            return container
        case MountKind.TMPFS:
            return container.with_mounted_temp(mount.target, size=mount.size)
        case MountKind.ANONYMOUS:
            # What the image has there, also where a bind mount covers it.
            own = image.with_directory(mount.target, bringup.client.directory())
            return container.with_mounted_directory(mount.target, own.directory(mount.target))
    source = bringup.bind(mount.source)
    if isinstance(source, dagger.File):
        return container.with_mounted_file(mount.target, source)
    return container.with_mounted_directory(mount.target, source, read_only=mount.read_only)


def _with_text(
    container: dagger.Container, text: MountedText, bringup: Bringup
) -> dagger.Container:
    if not text.secret:
        return container.with_new_file(
            text.target, text.text, permissions=text.mode, owner=text.owner
        )
    secret = bringup.client.set_secret(f"brewline-{bringup.key}-{text.name}", text.text)
    return container.with_mounted_secret(text.target, secret, owner=text.owner, mode=text.mode)


def _plan(service: Service) -> Mapping[str, str]:
    """What `service.sh` needs to know; it unsets these before the service's own command."""
    check = service.healthcheck
    return {
        "STACK_FOLDER": STACK_FOLDER,
        "STACK_AFTER": " ".join(f"{d.condition}:{d.service}" for d in service.depends_on),
        "STACK_VOLUMES": " ".join(
            f"{m.source}={m.target}" for m in service.mounts if m.kind is MountKind.NAMED
        ),
        "STACK_HEALTH": shlex.join(check.command) if check else "",
        "STACK_INTERVAL": str(check.interval if check else 0),
        "STACK_START_INTERVAL": str(check.start_interval if check else 0),
        "STACK_START_PERIOD": str(int(check.start_period) if check else 0),
        "STACK_TIMEOUT": str(check.timeout if check else 0),
        "STACK_RETRIES": str(check.retries if check else 0),
    }
