"""A container's settings as the configuration of an image, and back."""

from __future__ import annotations

from dataclasses import replace

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container, Healthcheck, Port
from engine.oci import image as oci_image
from engine.oci.image import ImageConfig, Provenance
from engine.snapshot import Snapshot


def config_of(container: Container) -> ImageConfig:
    """The image configuration of a container."""
    system, _, rest = container.platform.partition("/")
    arch, _, variant = rest.partition("/")
    check = container.healthcheck
    return ImageConfig(
        architecture=arch,
        os=system,
        variant=variant,
        env=container.env,
        entrypoint=container.entrypoint or None,
        cmd=container.args or None,
        user=container.user,
        working_dir=container.workdir,
        labels=container.labels,
        exposed_ports=tuple(f"{p.port}/{p.protocol.lower()}" for p in container.ports),
        volumes=container.volumes,
        stop_signal=container.stop_signal,
        healthcheck=None if check is None else _check_of(check),
        shell=container.shell,
        onbuild=container.onbuild,
    )


def _check_of(check: Healthcheck) -> oci_image.Healthcheck:
    return oci_image.Healthcheck(
        test=("CMD-SHELL" if check.shell else "CMD", *check.args),
        interval=check.interval,
        timeout=check.timeout,
        start_period=check.start_period,
        start_interval=check.start_interval,
        retries=check.retries,
    )


def with_image(container: Container, config: ImageConfig, snapshot: Snapshot) -> Container:
    """The container with an image's files and configuration. Raises EngineError."""
    ports = []
    for text in config.exposed_ports:
        number, _, protocol = text.partition("/")
        if not number.isdecimal():
            raise EngineError(f"the image exposes {text!r}, which is no port")
        ports.append(Port(port=int(number), protocol=(protocol or "tcp").upper(), of_image=True))
    check = config.healthcheck
    model_check = None
    if check is not None and check.test and check.test[0] != "NONE":
        model_check = Healthcheck(
            args=check.test[1:],
            shell=check.test[0] == "CMD-SHELL",
            interval=check.interval,
            timeout=check.timeout,
            start_period=check.start_period,
            start_interval=check.start_interval,
            retries=check.retries,
        )
    provenance = Provenance(
        layers=snapshot.layers,
        created=config.created,
        author=config.author,
        history=config.history,
    )
    return replace(
        container,
        rootfs=Lazy.of(snapshot),
        ran=None,
        provenance=provenance,
        platform=config.platform if config.architecture else container.platform,
        env=config.env,
        entrypoint=config.entrypoint or (),
        args=config.cmd or (),
        user=config.user,
        workdir=config.working_dir,
        labels=config.labels,
        ports=tuple(ports),
        volumes=config.volumes,
        stop_signal=config.stop_signal,
        healthcheck=model_check,
        shell=config.shell,  # nosec B604 - a setting: nothing is run here
        onbuild=config.onbuild,
    )
