"""The stages of one build: what each is made of, and which a target needs.

A stage is worked out when another one, or the target, asks for it: one that nobody needs is
neither built nor are its images pulled. What a stage refers to is worked out side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.dockerfile.arguments import parse_platform
from engine.dockerfile.characters import quoted
from engine.dockerfile.conduct import Conduct
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.expand import expand_word
from engine.dockerfile.inputs import Inputs
from engine.dockerfile.instructions import AnyInstruction, Copy, Dockerfile, Run, Stage
from engine.dockerfile.mounts import source_of
from engine.dockerfile.parser import parse_trigger
from engine.dockerfile.sources import Source
from engine.dockerfile.state import State, finished, started
from engine.errors import EngineError
from engine.lazy import Lazy, both, together
from engine.model import Container, Directory


class Stages:
    """The stages of a Dockerfile; `values` are the arguments of its global scope."""

    def __init__(self, file: Dockerfile, inputs: Inputs, values: Mapping[str, str]) -> None:
        self._file = file
        self._inputs = inputs
        self._values = dict(values)
        self._states = [self._lazy(index) for index in range(len(file.stages))]

    def _lazy(self, index: int) -> Lazy[State]:
        return Lazy(lambda: self._build(index))

    async def container(self, index: int) -> Container:
        """The container that a stage describes. Raises DockerfileError."""
        return finished(await self._states[index].get())

    async def _build(self, index: int) -> State:
        stage = self._file.stages[index]
        state, sources = await both(
            self._based(stage, index), self._sources(stage.instructions, index)
        )
        triggers = [self._trigger(stage, text) for text in state.container.onbuild]
        state.container = replace(state.container, onbuild=())
        sources = {**sources, **await self._sources(triggers, index)}
        conduct = Conduct(self._inputs, sources, self._values)
        for instruction in (*triggers, *stage.instructions):
            place = self._place(instruction)
            with place.blamed():
                conduct.apply(state, instruction, place)
        return state

    def _place(self, line: AnyInstruction | Stage) -> Place:
        return Place(self._file.name, line.line, line.original)

    def _trigger(self, stage: Stage, text: str) -> AnyInstruction:
        return parse_trigger(text, stage.line, self._file.name)

    async def _based(self, stage: Stage, index: int) -> State:
        """The stage before its first instruction."""
        escape = self._file.directives.escape
        with self._place(stage).blamed():
            name = expand_word(stage.base, self._values, escape)
            if not name:
                raise DockerfileError(f"base name ({stage.base}) should not be blank")
            platform = self._platform(stage)
        found = self._file.find(name, index)
        if found is not None:
            below = await self._states[found].get()
            state = started(below.container, below.variables, escape)
            state.stand_ins = dict(below.stand_ins)
            return state
        with self._place(stage).blamed():
            return started(await self._image(name, platform), {}, escape)

    def _platform(self, stage: Stage) -> str:
        if not stage.platform:
            return self._inputs.platform
        text = expand_word(stage.platform, self._values, self._file.directives.escape)
        if not text:
            raise DockerfileError(f"empty platform value from expression {stage.platform}")
        return parse_platform(text, self._inputs.session.platform)

    async def _image(self, name: str, platform: str) -> Container:
        empty = Container(platform=platform)
        if name == "scratch":
            return empty
        if name in self._inputs.named:
            return replace(empty, rootfs=self._inputs.named[name].snapshot)
        return await self._inputs.session.images.pull(empty, name)

    async def _sources(self, lines: Iterable[AnyInstruction], index: int) -> dict[str, Source]:
        """All that the `from` of the instructions name, worked out side by side."""
        wanted: dict[str, tuple[Place, bool]] = {}
        for line in lines:
            if isinstance(line, Copy):
                wanted.setdefault(line.from_, (self._place(line), True))
            elif isinstance(line, Run):
                for mount in line.mounts:
                    wanted.setdefault(source_of(mount), (self._place(line), False))
        found = await together(*(self._source(n, *how, index) for n, how in wanted.items()))
        return dict(zip(wanted, found, strict=True)) | {"": self._context()}

    def _context(self) -> Source:
        return Source(self._inputs.context, Container(platform=self._inputs.platform))

    async def _source(self, name: str, place: Place, by_number: bool, index: int) -> Source:
        if not name:
            return self._context()
        with place.blamed():
            number = self._number(name, by_number, index)
        if number is not None:
            made = await self.container(number)
        elif name in self._inputs.named:
            return Source(self._inputs.named[name], Container(platform=self._inputs.platform))
        else:
            with place.blamed():
                made = await self._pulled(name)
        return Source(Directory(made.rootfs), made)

    def _number(self, name: str, by_number: bool, index: int) -> int | None:
        """The stage that `name` refers to from stage `index`, or None for an image."""
        if expand_word(name, {}, self._file.directives.escape) != name:
            raise DockerfileError(
                "variable expansion is not supported for --from, define a new stage with FROM "
                "using ARG from global scope as a workaround"
            )
        if by_number and name.isascii() and name.isdigit():
            if int(name) >= len(self._file.stages):
                raise DockerfileError(f"invalid stage index {name}")
            found: int | None = int(name)
        else:
            found = self._file.find(name, index)
            if found is None:
                found = self._file.find(name)
        if found is not None and found >= index:
            this = self._file.stages[index].name or f"stage-{index}"
            raise DockerfileError(
                f"cannot copy from stage {quoted(name)}, "
                f"it needs to be defined before current stage {quoted(this)}"
            )
        return found

    async def _pulled(self, name: str) -> Container:
        try:
            return await self._image(name, self._inputs.platform)
        except EngineError as error:
            said = str(error)
            raise DockerfileError(said if name in said else f"{name}: {said}") from None
