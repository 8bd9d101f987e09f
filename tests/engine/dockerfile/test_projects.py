"""Dockerfiles in the shapes of well-known projects, each built and its image looked at."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import dagger
import pytest

from tests.engine.dockerfile.expected import FOLDER, PROJECTS, Project

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

_FROM = re.compile(r"^FROM .*$", re.MULTILINE)
_IMAGE = "/image"


def prepared(project: Project, folder: Path) -> None:
    """A copy of the project in which every stage begins with something never seen before.

    Otherwise what an earlier run left in the store would answer for this one.
    """
    shutil.copytree(FOLDER / project.name, folder, dirs_exist_ok=True)
    file = folder / project.dockerfile
    fresh = f"COPY <<FRESH /.fresh\n{uuid.uuid4()}\nFRESH"
    file.write_text(_FROM.sub(lambda found: f"{found[0]}\n{fresh}", file.read_text()))
    if project.prepare is not None:
        project.prepare(folder)


def built(dag: dagger.Client, project: Project, folder: Path) -> dagger.Container:
    """The project's image."""
    secrets = [dag.set_secret(name, value) for name, value in project.secrets.items()]
    return (
        dag.host()
        .directory(str(folder))
        .docker_build(
            dockerfile=project.dockerfile,
            target=project.target,
            build_args=[dagger.BuildArg(name=n, value=v) for n, v in project.arguments.items()],
            secrets=secrets,
        )
    )


def ids(project: Project) -> str:
    """What a case is called."""
    return " ".join(filter(None, (project.name, project.variant)))


@pytest.mark.parametrize("project", PROJECTS, ids=ids)
async def test_a_dockerfile_of_a_project_makes_the_image_that_it_describes(
    dag: dagger.Client, tmp_path: Path, project: Project
) -> None:
    prepared(project, tmp_path)
    image = built(dag, project, tmp_path)
    assert await attributes(dag, image, project) == dict(project.files)
    for path, text in project.texts.items():
        assert await image.file(path).contents() == text
    assert [path for path in project.absent if await image.exists(path)] == []
    for name, expected in project.config.items():
        assert (name, await configured(image, name)) == (name, expected)
    if project.says is not None:
        assert await image.with_exec([], use_entrypoint=True).stdout() == project.says


async def attributes(
    dag: dagger.Client, image: dagger.Container, project: Project
) -> dict[str, str]:
    """Modes and owners of the files that are asked for, those not there left out."""
    if not project.files:
        return {}
    looked = (
        dag.container()
        .from_("debian:bookworm-slim")
        .with_mounted_directory(_IMAGE, image.rootfs())
        .with_exec(
            ["stat", "-c", "%n %a %u:%g", *(f"{_IMAGE}{path}" for path in project.files)],
            expect=dagger.ReturnType.ANY,
        )
    )
    lines = (await looked.stdout()).splitlines()
    return dict(line.removeprefix(_IMAGE).split(" ", 1) for line in lines)


async def configured(image: dagger.Container, name: str) -> object:
    """A field of the image's configuration."""
    kind, _, key = name.partition(".")
    match kind:
        case "env":
            return await image.env_variable(key)
        case "label":
            return await image.label(key)
        case "user":
            return await image.user()
        case "workdir":
            return await image.workdir()
        case "entrypoint":
            return await image.entrypoint()
        case "args":
            return await image.default_args()
        case "ports":
            ports = await image.exposed_ports()
            return sorted([f"{await p.port()}/{(await p.protocol()).value}" for p in ports])
    return await health(image)


async def health(image: dagger.Container) -> list[object] | None:
    """The health check."""
    found = image.docker_healthcheck()
    try:
        await found.shell()
    except dagger.QueryError:
        return None
    times = [await found.interval(), await found.timeout(), await found.start_period()]
    return [*times, await found.shell(), await found.args()]


def test_thirty_projects_stand_here_and_each_is_built() -> None:
    folders = {path.name for path in FOLDER.iterdir()}
    assert len(folders) >= 30
    assert folders == {project.name for project in PROJECTS}
