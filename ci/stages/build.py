"""Build: the product's image from its Dockerfile, and checks inside it."""

from __future__ import annotations

import datetime as dt
import os
from importlib.resources import files

import anyio
import dagger

from ci import containers, execs
from ci.connection import last_lines
from ci.errors import CheckFailed
from ci.execs import Check, Checked
from ci.publishing import push as publishing
from ci.publishing import sbom
from ci.publishing.handover import hand_over
from ci.stage import Context, Image, Result
from ci.stages.security import trivy
from ci.tags import commit_tag

_NO_COMPILER = """\
for tool in cc gcc g++ c++ clang ld make; do
    if found=$(command -v "$tool"); then echo "$found is in the image"; exit 1; fi
done
"""


def _script(name: str) -> tuple[str, ...]:
    return ("python", "-c", (files("ci.inside") / f"{name}.py").read_text())


# What must hold inside the image: a sentence, and a check that fails where it does not.
INSIDE = {
    "the image runs as an ordinary user": Check(
        name="user", command=("sh", "-c", 'id; test "$(id -u)" != 0')
    ),
    "no compiler is left in the image": Check(name="compilers", command=("sh", "-c", _NO_COMPILER)),
    "the DAGs import": Check(name="dags", command=_script("dags")),
}
# The engine's own digest of a root file system reads it whole each time; a check is remembered.
_CONTENT = Check(name="content", command=_script("content"))


async def run(context: Context) -> Result:
    """Build the image and look inside; the image is known to the later stages by its content.

    Where the run publishes, it is known by its digest, and an image of this commit that was
    published before is taken instead of another one being built. Either is handed over to be
    signed, with its bill of materials.
    """
    started = dt.datetime.now(dt.UTC)
    destination = context.settings.destination
    earlier = await publishing.earlier(context, destination) if destination else None
    image = await _built(context, earlier)
    checked: dict[str, Checked] = {}

    async def look(container: dagger.Container, check: Check) -> None:
        context.say(check.name)
        checked[check.name] = await execs.run(context, container, check)

    async with anyio.create_task_group() as group:
        for check in INSIDE.values():
            group.start_soon(look, image, check)
        group.start_soon(look, image.with_user("root"), _CONTENT)
    for sentence, check in INSIDE.items():
        found = checked[check.name]
        if found.exit_code != 0:
            raise CheckFailed(
                f"Not so: {sentence}.", detail=last_lines(found.output), log=found.log
            )
    cached = all(found.cached for found in checked.values())
    tag = commit_tag(context.git)
    if destination:
        document = await sbom.inventory(context, trivy(context), image)
        known = earlier or await publishing.publish(
            context, destination, image, document=document, started=started
        )
        about = sbom.about(document, destination.repository, known.digest or "")
        sbom.write(about, context.report)
        # Also one that was there already: its run may have been cut before it was signed.
        hand_over(known, os.environ)
        reason = f"{tag} was published already" if earlier else f"{tag} pushed"
        return Result(image=known, reason=reason, cached=cached)
    content = checked[_CONTENT.name]
    # Of what is in it, which a registry knows nothing of: not to be taken for its digest.
    digest = (
        content.output.strip().replace("sha256:", "content:") if content.exit_code == 0 else None
    )
    return Result(
        image=Image(reference=f"brewline:{tag}", digest=digest, tags=(tag,)),
        reason=f"would push {tag}: only `--publish` acts",
        cached=cached,
    )


async def _built(context: Context, earlier: Image | None) -> dagger.Container:
    """The image, pulled where an earlier run published it and built where none did."""
    if earlier:
        return await containers.pulled(context, earlier.reference).sync()
    context.say("docker build …")
    return await containers.built(context)
