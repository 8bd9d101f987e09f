"""Base containers, and the steps that compose with `.with_()`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import dagger

from ci.connection import first_line, is_environmental, last_lines, translated
from ci.errors import BrewlineError, CheckFailed, InfrastructureError
from ci.lockfile import only
from ci.sourcetree import IMAGE_SOURCE
from ci.stage import Context
from ci.versions import read_version
from engine.standins import NOT_MADE

PYTHON_IMAGE = "python:3.11-slim-bookworm"  # noqa: E501 - a pin is as long as it is
SOURCE = "/src"

# What keeps a command from being remembered.
NONCE = "BREWLINE_NONCE"

Step = Callable[[dagger.Container], dagger.Container]

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_LOCKS = "/locks"


def image(context: Context) -> dagger.Container:
    """The product's image; the engine's memory makes it one build however many stages ask.

    Once it is published it is the one of that digest: what is tested is what is promoted.
    """
    built = context.results.get("build")
    if built and built.image and built.image.published:
        return pulled(context, built.image.reference).with_(fresh(context))
    source = context.source(*IMAGE_SOURCE)
    described = _described(context)
    arguments = [dagger.BuildArg(name.upper(), value) for name, value in described.items()]
    made = source.docker_build(build_args=arguments)
    for name, value in described.items():
        if not value:
            made = made.without_label(f"org.opencontainers.image.{name}")
    return made.with_(fresh(context))


async def built(context: Context) -> dagger.Container:
    """The product's image, made now.

    Raises CheckFailed where the Dockerfile or what it compiles is at fault, InfrastructureError
    where the output tells of the network or the disk.
    """
    try:
        return await image(context).sync()
    except dagger.QueryError as error:
        raise _fault(error, context) from error


def _fault(error: dagger.QueryError, context: Context) -> BrewlineError:
    log = context.report / "build.txt"
    if isinstance(error, dagger.ExecError):
        output = f"{error.stdout}\n{error.stderr}".strip()
        log.write_text(f"{error}\n{output}\n")
        cause = InfrastructureError if is_environmental(error) else CheckFailed
        return cause("A step of the Dockerfile failed.", detail=last_lines(output), log=log)
    log.write_text(f"{error}\n")
    if NOT_MADE in first_line(error):
        return translated(error, log)
    return CheckFailed(f"The Dockerfile cannot be built: {first_line(error)}.", log=log)


def _described(context: Context) -> dict[str, str]:
    """What the image's labels say of it; what nobody knows is "", and no label."""
    git = context.git
    created = dt.datetime.fromtimestamp(git.time, dt.UTC) if git.time is not None else None
    return {
        "version": read_version(context.root),
        "revision": f"{git.commit}{'-dirty' if git.dirty else ''}" if git.commit else "",
        "created": created.isoformat().replace("+00:00", "Z") if created else "",
        "source": context.source_url,
    }


def pulled(context: Context, reference: str) -> dagger.Container:
    """An image that was published, by its digest."""
    return context.client.container().with_(authorized(context)).from_(reference)


def authorized(context: Context) -> Step:
    """Step after which images go to the destination, and come from it, as whom the run was told."""
    destination = context.settings.destination

    def step(container: dagger.Container) -> dagger.Container:
        if destination is None or not destination.user:
            return container  # the Docker configuration says so, or nobody asks
        secret = context.client.set_secret("brewline-registry-password", destination.password)
        return container.with_registry_auth(destination.host, destination.user, secret)

    return step


def development(context: Context) -> dagger.Container:
    """Python with every tool and library of `requirements/dev.txt`, in an empty `/src`."""
    return (
        context.client.container()
        .from_(PYTHON_IMAGE)
        .with_(trusting_the_system())
        .with_(installed(context, "dev"))
        .with_workdir(SOURCE)
        .with_(fresh(context))
    )


def trusting_the_system() -> Step:
    """Step after which pip and uv trust the container's own store, and so a private CA in it."""

    def step(container: dagger.Container) -> dagger.Container:
        return container.with_env_variable("PIP_CERT", _CERTIFICATES).with_env_variable(
            "UV_SYSTEM_CERTS", "true"
        )

    return step


def installed(context: Context, name: str) -> Step:
    """Step that installs `requirements/<name>.txt` with the uv that this lock file pins."""
    lock_file = context.source(f"requirements/{name}.txt").file(f"requirements/{name}.txt")
    text = (context.root / "requirements" / f"{name}.txt").read_text()
    pip = (
        "pip",
        "install",
        "--no-deps",
        "--root-user-action=ignore",
        "--disable-pip-version-check",
    )
    uv = ("uv", "pip", "install", "--system", "--compile-bytecode", "--link-mode=copy")

    def step(container: dagger.Container) -> dagger.Container:
        cache = context.client.cache_volume("brewline-packages")
        return (
            container.with_new_file(f"{_LOCKS}/uv.txt", only(text, "uv"))
            .with_file(f"{_LOCKS}/{name}.txt", lock_file)
            .with_mounted_cache("/root/.cache", cache)
            .with_exec([*pip, "--require-hashes", "-r", f"{_LOCKS}/uv.txt"])
            .with_exec([*uv, "--require-hashes", "-r", f"{_LOCKS}/{name}.txt"])
            .without_mount("/root/.cache")
        )

    return step


def fresh(context: Context) -> Step:
    """Step after which nothing comes from the cache when `--no-cache` was given."""

    def step(container: dagger.Container) -> dagger.Container:
        if not context.nonce:
            return container
        return container.with_env_variable(NONCE, context.nonce)

    return step
