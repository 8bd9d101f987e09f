"""The command line: argparse and nothing slow, since `--help` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ci.engine import validated
from ci.errors import UsageError
from ci.graph import STAGES, require_known

# A DAG run alone may take twenty minutes; what takes longer than this hangs.
STAGE_SECONDS = 30 * 60.0

ENVIRONMENTS = ("staging", "production")

COMMANDS = {
    "all": "every stage that applies here",
    "lint": "Black, Flake8 and MyPy over every folder",
    "test": "unit tests with coverage, DAG import test",
    "build": "the image, and checks inside it",
    "integration": "the whole stack, one DAG run, its lake verified",
    "security": "Trivy and Bandit, as SARIF",
    "deploy": "deploy to staging or production",
    "release": "tag and publish a release",
    "notify": "archive of logs and reports, email",
    "verify": "whether a published image is what it is said to be",
    "images": "`images lock`: every image that is named, or package of a stand-in, pinned",
    "nightly": "the scheduled pipeline test against the live source",
    "plan": "what would run and why, before running it",
    "shell": "a stage, and a terminal where its command failed",
    "doctor": "what this machine has and lacks, with the cure",
    "selftest": "the project's own tests",
    "engine": "the embedded engine by itself: info, prune, run [--registry NAME] -- COMMAND",
}
_STAGE_COMMANDS = ("lint", "test", "build", "integration", "security", "release", "notify")
_PUBLISHING = ("all", "build", "plan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for; `seconds` limits one stage, no `only` means all stages."""

    command: str
    action: str = ""
    rest: tuple[str, ...] = ()
    registry: str = ""
    publish: bool = False
    repository: str = ""
    key: Path | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    engine: str = "auto"
    keep_going: bool = False
    jobs: int | None = None
    no_cache: bool = False
    report: Path = Path("reports")
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    explain: bool = False
    seconds: float = STAGE_SECONDS
    soak: bool = False
    keep: bool = False
    check: bool = False
    stand_ins: bool = False


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`).")


def parse(arguments: Sequence[str], root: Path) -> Options:
    """Options of a command line; raises UsageError with a hint where it cannot be meant."""
    if arguments and not arguments[0].startswith("-"):
        require_known(arguments[0], COMMANDS, what="command")
    given = _parser().parse_args(arguments)
    only, skip = tuple(given.only), tuple(given.skip)
    for name in (*only, *skip):
        require_known(name, [stage.name for stage in STAGES])
    if given.command in _STAGE_COMMANDS:
        only = (given.command, *only)
    elif given.command == "nightly":
        only = ("nightly", "notify", *only)
    elif given.command == "deploy":
        require_known(given.action, ENVIRONMENTS, what="environment")
        only = (f"deploy-{given.action}", *only)
    elif given.command == "shell":
        only, skip = (_with_containers(given.action),), ()
    if given.command == "engine" and given.action == "run":
        given = _run_parser().parse_args(given.rest, given)
    return Options(
        command=given.command,
        action=given.action,
        rest=tuple(given.rest[1:] if given.rest[:1] == ["--"] else given.rest),
        registry=given.registry,
        publish=given.publish,
        repository=given.repository,
        key=given.key,
        only=only,
        skip=skip,
        engine=validated(given.engine),
        keep_going=given.keep_going,
        jobs=given.jobs,
        no_cache=given.no_cache,
        report=(given.report or root / "reports").absolute(),
        json=given.json,
        quiet=given.quiet,
        verbose=given.verbose,
        explain=given.explain,
        seconds=given.timeout,
        soak=given.soak,
        keep=given.keep,
        check=given.check,
        stand_ins=given.stand_ins,
    )


def _with_containers(name: str) -> str:
    """The stage of that name, if it is one that runs in containers."""
    require_known(name, [stage.name for stage in STAGES])
    suited = [stage.name for stage in STAGES if stage.uses_engine]
    if name not in suited:
        raise UsageError(f"{name} runs in no container: give {', '.join(suited)}.")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ci/main.py", description="The CI/CD of Brewline as one program.")
    parser.set_defaults(action="", rest=[], registry="", soak=False, keep=False, check=False)
    parser.set_defaults(publish=False, repository="", key=None, stand_ins=False)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    common = _common()
    each = {
        name: commands.add_parser(name, help=summary, description=summary, parents=[common])
        for name, summary in COMMANDS.items()
    }
    for name in _PUBLISHING:
        help = "push the image, and move its tags where the branch has any"
        each[name].add_argument("--publish", action="store_true", help=help)
    for name in (*_PUBLISHING, "deploy", "release", "verify"):
        _add_registry(each[name])
    each["verify"].add_argument("action", metavar="IMAGE", help="a reference: tag, digest or both")
    each["verify"].add_argument(
        "--key", metavar="FILE", type=Path, help="PEM file of the key that must have signed"
    )
    each["images"].add_argument("action", choices=("lock",))
    each["images"].add_argument(
        "--check", action="store_true", help="write nothing; fail where a pin is not of now"
    )
    each["images"].add_argument(
        "--stand-ins", action="store_true", help="pin the stand-ins' Debian packages, not digests"
    )
    each["deploy"].add_argument("action", metavar="ENV", help="staging or production")
    each["shell"].add_argument("action", metavar="STAGE")
    for name in ("integration", "nightly"):
        each[name].add_argument(
            "--keep",
            action="store_true",
            help="leave the stack up until Ctrl-C, its UI on loopback",
        )
    each["selftest"].add_argument(
        "--soak", action="store_true", help="add the long fault and repeat runs"
    )
    each["engine"].add_argument("action", choices=("info", "prune", "run"))
    each["engine"].add_argument("rest", metavar="-- COMMAND", nargs=argparse.REMAINDER)
    return parser


def _add_registry(parser: argparse.ArgumentParser) -> None:
    """The option of commands that push an image or take one from where it was pushed."""
    parser.add_argument(
        "--registry",
        dest="repository",
        metavar="HOST[/PATH]",
        default="",
        help="where images are (default: ghcr.io/<owner>/<repo> on GitHub), and the login is for",
    )


def _common() -> _Parser:
    """The options that every command takes."""
    common = _Parser(add_help=False)
    add = common.add_argument
    add("--engine", default="auto", help="auto, embedded, dagger or a runner host's URL")
    add("--only", metavar="STAGE", action="append", default=[], help="run this stage (repeatable)")
    add("--skip", metavar="STAGE", action="append", default=[], help="leave this stage out")
    add("--fail-fast", dest="keep_going", action="store_false", help="stop at a failure (default)")
    add("--keep-going", action="store_true", help="run whatever a failure does not hinder")
    add("--jobs", metavar="N", type=_at_least_one, help="stages side by side at most")
    add("--no-cache", action="store_true", help="run every check anew")
    add("--report", metavar="DIR", type=Path, help="folder of the report (default reports/)")
    add("--json", action="store_true", help="the record on standard output, as JSON")
    add("--quiet", "-q", action="store_true", help="say only what failed")
    add("--verbose", "-v", action="store_true", help="say what each stage does")
    add("--explain", action="store_true", help="say of each command if it ran, and why")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_positive,
        default=STAGE_SECONDS,
        help="longest time for one stage (default %(default)g)",
    )
    return common


def _run_parser() -> argparse.ArgumentParser:
    """What follows `engine run`."""
    parser = _Parser(prog="ci/main.py engine run")
    parser.add_argument(
        "--registry",
        metavar="NAME",
        type=_variable,
        default=argparse.SUPPRESS,
        help="start a registry for the program and put its host:port into the variable NAME",
    )
    parser.add_argument(
        "--explain", action="store_true", default=argparse.SUPPRESS, help="say why commands ran"
    )
    parser.add_argument("rest", metavar="-- COMMAND", nargs=argparse.REMAINDER)
    return parser


def _variable(text: str) -> str:
    if not text.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a variable")
    return text


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
