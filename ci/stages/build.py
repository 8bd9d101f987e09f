"""Build: the product's image from its Dockerfile, and checks inside it."""

from __future__ import annotations

import anyio
import dagger

from ci import containers
from ci.connection import first_line, is_environmental
from ci.errors import BrewlineError, CheckFailed, InfrastructureError
from ci.stage import Context, Image, Result
from ci.versions import commit_tag

_IMPORT_DAGS = """\
import os, pathlib, runpy
folder = pathlib.Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
files = sorted(folder.glob("*.py"))
assert files, f"no DAG file in {folder}"
for file in files:
    runpy.run_path(str(file), run_name=file.stem)
    print(file.name)
"""
_NO_COMPILER = """\
for tool in cc gcc g++ c++ clang ld make; do
    if found=$(command -v "$tool"); then echo "$found is in the image"; exit 1; fi
done
"""

# What must hold inside the image: a sentence, and a command that fails where it does not.
INSIDE = {
    "the image runs as an ordinary user": ("sh", "-c", 'test "$(id -u)" != 0'),
    "no compiler is left in the image": ("sh", "-c", _NO_COMPILER),
    "the DAGs import": ("python", "-c", _IMPORT_DAGS),
}


async def run(context: Context) -> Result:
    """Build the image and look inside; the image is known to the later stages by its content."""
    image = containers.image(context)
    context.say("docker build …")
    try:
        image = await image.sync()
    except dagger.QueryError as error:
        raise _fault(error, context) from error
    found: dict[str, str] = {}

    async def check(sentence: str, command: tuple[str, ...]) -> None:
        context.say(sentence)
        found[sentence] = await _look(image, command)

    async with anyio.create_task_group() as group:
        for sentence, command in INSIDE.items():
            group.start_soon(check, sentence, command)
    log = context.report / "checks.txt"
    log.write_text("".join(f"{'FAIL' if found[s] else 'ok'}: {s}\n{found[s]}" for s in INSIDE))
    broken = [sentence for sentence in INSIDE if found[sentence]]
    if broken:
        raise CheckFailed(f"Not so: {', '.join(broken)}.", detail=found[broken[0]], log=log)
    tag = commit_tag(context.git)
    digest = await image.rootfs().digest()
    return Result(image=Image(reference=f"brewline:{tag}", digest=digest, tags=(tag,)))


async def _look(image: dagger.Container, command: tuple[str, ...]) -> str:
    """What is wrong, or nothing."""
    done = image.with_exec(list(command), expect=dagger.ReturnType.ANY)
    if await done.exit_code() == 0:
        return ""
    return f"{await done.stdout()}{await done.stderr()}".strip() or "the check says no"


def _fault(error: dagger.QueryError, context: Context) -> BrewlineError:
    """A failed build as an error: the network's fault where the output says so, else ours."""
    log = context.report / "build.txt"
    if isinstance(error, dagger.ExecError):
        output = f"{error.stdout}\n{error.stderr}".strip()
        log.write_text(f"{error}\n{output}\n")
        cause = InfrastructureError if is_environmental(error) else CheckFailed
        detail = "\n".join(output.splitlines()[-20:])
        return cause("A step of the Dockerfile failed.", detail=detail, log=log)
    log.write_text(f"{error}\n")
    return CheckFailed(f"The Dockerfile cannot be built: {first_line(error)}.", log=log)
