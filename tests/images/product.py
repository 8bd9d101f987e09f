"""The product's image as a session of the embedded engine makes it, from a tree of a test's own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagger

from ci import embedded
from ci.containers import image
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context
from tests.ci.publishing import COMMIT, OURS
from tests.images.recipes import ROOT
from tests.images.session import Ask, embedded_session

OURS_IN_IT = ("pipeline", "dags")

_OF_A_COMMIT = Git(commit=COMMIT, branch="main", time=1_700_000_000)
_MADE_OF = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements/airflow.txt")


@dataclass(frozen=True)
class Session:
    """An engine, what it told of its work, and a tree of our own to build from."""

    ask: Ask
    events: Path
    tree: Path

    def image(
        self, client: dagger.Client, git: Git = _OF_A_COMMIT, source: str = OURS
    ) -> dagger.Container:
        """The image as the stages get it."""
        settings = Settings(github=bool(source), brewery_csv=None, smtp=None, source=source)
        context = Context(
            client=client,
            root=self.tree,
            git=git,
            settings=settings,
            reports=self.tree,
            report=self.tree,
            say=print,
            tell=print,
        )
        return image(context)

    def shell(self, script: str, *, user: str = "", of: str = "") -> str:
        """Standard output of a shell script in the image, or in the one of that name."""

        async def question(client: dagger.Client) -> str:
            container = client.container().from_(of) if of else self.image(client)
            container = container.with_user(user) if user else container
            return await container.with_exec(["sh", "-euc", script]).stdout()

        answer: str = self.ask(question)
        return answer.rstrip("\n")

    def ran(self) -> list[str]:
        """The commands that were run and not remembered."""
        return [
            " ".join(event["args"])
            for event in embedded.told(self.events)
            if event["event"] == "exec" and not event["cached"]
        ]


def checkout(tree: Path) -> Path:
    """What the image is made of, in a folder that a test may change."""
    for name in OURS_IN_IT:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in _MADE_OF:
        (tree / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return tree


@contextlib.contextmanager
def begun(folder: Path, tree: Path) -> Iterator[Session]:
    """A session with its tree; what it saw of that tree once, it sees to its end."""
    with embedded_session(folder) as ask:
        yield Session(ask, folder / "events.jsonl", tree)
