"""Terminals in containers, for a user at a true (pseudo-)terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.engine import program
from tests.engine.machine import Process, family, survivors, wait_until
from tests.engine.screen import Screen, on_a_terminal

pytestmark = pytest.mark.engine

At = Callable[[str], AbstractContextManager[Screen]]

PROMPT = " $ "
SECONDS = 15


@pytest.fixture
def at_terminal(engine_bin: Path) -> At:
    """Runs a program whose connection runs some lines, with a user at its terminal."""

    @contextmanager
    def start(body: str) -> Iterator[Screen]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DAGGER_")}
        env = {**own, "_EXPERIMENTAL_DAGGER_CLI_BIN": str(engine_bin)}
        with on_a_terminal([sys.executable, "-c", program.source(body)], env) as screen:
            yield screen

    return start


def test_a_shell_is_in_the_container_as_it_is(at_terminal: At) -> None:
    body = """
    made = fresh(debian()).with_new_file("/f", "of the files").with_workdir("/opt")
    mount = dag.directory().with_new_file("g", "of a mount")
    made = made.with_mounted_directory("/m", mount).with_env_variable("WHAT", "of the environment")
    made = made.with_user("nobody")
    await made.terminal().sync()
    """
    with at_terminal(body) as screen:
        screen.wait_for(PROMPT)
        screen.type("cat /f /m/g; echo; echo $WHAT; echo in $PWD as `id -un`, $TERM; tty\n")
        screen.wait_for("of the filesof a mount\r\nof the environment\r\n")
        screen.wait_for("in /opt as nobody, xterm\r\n/dev/pts/0\r\n")
        screen.type("exit\n")
        assert screen.end() == 0


def test_the_program_goes_on_with_the_container_as_it_was(at_terminal: At) -> None:
    body = """
    made = await debian().terminal().sync()
    print("made:", await made.exists("/made"), flush=True)
    """
    with at_terminal(body) as screen:
        screen.wait_for(PROMPT)
        screen.type("touch /made\nexit 3\n")
        screen.wait_for("made: False")
        assert screen.end() == 0


def test_keys_go_into_the_shell_and_the_terminal_is_put_back(at_terminal: At) -> None:
    with at_terminal("await debian().terminal().sync()") as screen:
        before = screen.settings()
        screen.wait_for(PROMPT)
        assert screen.settings() != before
        screen.type("sleep 70003\n")
        # By the time it is seen the shell has given it the keys.
        assert wait_until(
            lambda: any(p.command == "sleep 70003 " for p in family(screen.process.pid)), 120
        )
        screen.type("\x03")
        screen.wait_for(PROMPT, SECONDS)
        screen.type("echo code $?\n")
        screen.wait_for("code 130")
        screen.type("\x04")
        assert screen.end() == 0
        assert screen.settings() == before


SIZES = """
script = "$SIG{WINCH} = sub { print 'now ', `stty size`; exit };"
script += "$| = 1; print 'first ', `stty size`; sleep 60"
"""


def test_the_window_size_is_followed(at_terminal: At) -> None:
    with at_terminal(
        SIZES + 'await debian().terminal(cmd=["perl", "-e", script]).sync()'
    ) as screen:
        screen.resize(31, 101)
        screen.wait_for("first 31 101")
        screen.resize(17, 51)
        screen.wait_for("now 17 51", SECONDS)
        assert screen.end() == 0


def test_a_command_has_the_window_size_from_its_start(at_terminal: At) -> None:
    body = """
    await debian().terminal(cmd=["stty", "size"]).sync()
    await fresh(debian()).as_service(args=["sleep", "60"]).terminal(cmd=["stty", "size"]).hostname()
    """
    with at_terminal(body) as screen:
        screen.resize(31, 101)
        screen.wait_for("\n31 101\r\n")
        screen.wait_for("\n31 101\r\n")
        assert screen.end() == 0


def test_a_long_text_passes_both_ways(at_terminal: At) -> None:
    with at_terminal("await debian().terminal().sync()") as screen:
        screen.wait_for(PROMPT)
        screen.type("stty raw -echo; echo re``ady; head -c 300000 | cksum; seq 200000; echo all\n")
        screen.wait_for("ready")
        for _ in range(300):
            screen.type("x" * 1000)
        screen.wait_for(" 300000")
        screen.wait_for("\n200000")
        screen.wait_for("all")
        screen.type("exit\r")


def signalled(number: int, words: str) -> Callable[[Screen, list[Process]], None]:
    """Sends a signal to the process whose command begins with these words."""

    def send(screen: Screen, everyone: list[Process]) -> None:
        found = next(process for process in everyone if process.command.startswith(words))
        os.kill(found.pid, number)

    return send


ENGINE = f"{sys.executable} -P -m engine.start"
PROGRAM = f"{sys.executable} -c"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(signalled(signal.SIGKILL, ENGINE), id="kill -9 of the engine"),
        pytest.param(signalled(signal.SIGKILL, "unshare"), id="kill -9 of all of its processes"),
        pytest.param(signalled(signal.SIGKILL, PROGRAM), id="kill -9 of the program"),
        pytest.param(signalled(signal.SIGTERM, ENGINE), id="TERM to the engine"),
    ],
)
def test_the_terminal_is_put_back_after(
    at_terminal: At, end: Callable[[Screen, list[Process]], None]
) -> None:
    with at_terminal("await debian().terminal().sync()") as screen:
        before = screen.settings()
        screen.wait_for(PROMPT)
        screen.type("sleep 70004\n")
        wait_until(lambda: any("sleep 70004" in p.command for p in family(screen.process.pid)), 120)
        everyone = family(screen.process.pid)
        end(screen, everyone)
        assert survivors(everyone, SECONDS) == []
        assert wait_until(lambda: screen.settings() == before, SECONDS)


def test_a_closed_window_ends_what_runs_in_the_terminal(at_terminal: At) -> None:
    body = """
    stubborn = "trap '' HUP TERM; echo up; sleep 70005"
    await debian().terminal(cmd=["sh", "-c", stubborn]).sync()
    """
    with at_terminal(body) as screen:
        screen.wait_for("up\r\n")
        everyone = family(screen.process.pid)
        screen.hang_up()
        assert survivors(everyone, SECONDS) == []


def test_a_user_without_a_terminal_is_told_so(engine_bin: Path) -> None:
    done = program.run("await debian().terminal().sync()", engine_bin)
    said = "there is no terminal: run the program with a terminal as its standard input"
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"dagger.QueryError: {said}"


def test_a_program_in_the_background_does_not_take_the_keys(at_terminal: At) -> None:
    body = """
    import signal
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        time.sleep(60)
    try:
        await debian().terminal().sync()
    finally:
        os.kill(child, 9)
    """
    with at_terminal(body) as screen:
        screen.wait_for("QueryError: the program is in the background")
        assert screen.end() == 1


def test_a_missing_command_is_named(at_terminal: At) -> None:
    with at_terminal('await debian().terminal(cmd=["none-such"]).sync()') as screen:
        before = screen.settings()
        screen.wait_for('ExecError: exec: "none-such": no such file or directory')
        assert screen.end() == 1
        assert screen.settings() == before


def test_a_container_may_have_a_command_of_its_own(at_terminal: At) -> None:
    body = """
    made = debian().with_default_terminal_cmd(["sh", "-c", "echo own $0; read line", "command"])
    await made.terminal().sync()
    await made.terminal(cmd=["sh", "-c", "echo given; read line"]).sync()
    """
    with at_terminal(body) as screen:
        screen.wait_for("own command\r\n")
        screen.type("\n")
        screen.wait_for("given\r\n")
        screen.type("\n")
        assert screen.end() == 0


CAPABILITIES = """cmd=["sh", "-c", "grep -e CapBnd -e Seccomp: /proc/self/status; read line"]"""


def test_capabilities_are_given_on_demand(at_terminal: At) -> None:
    body = f"""
    await debian().terminal({CAPABILITIES}).sync()
    await debian().terminal({CAPABILITIES}, insecure_root_capabilities=True).sync()
    made = debian().with_default_terminal_cmd(["true"], insecure_root_capabilities=True)
    await made.terminal({CAPABILITIES}).sync()
    """
    with at_terminal(body) as screen:
        found = []
        for _ in range(3):
            screen.wait_for("CapBnd:\t")
            screen.wait_for("\r\n")
            found.append(screen.shown.rpartition("CapBnd:\t")[2].split()[0])
            screen.wait_for("Seccomp:\t0" if found[1:] else "Seccomp:\t2")
            screen.type("\n")
        assert screen.end() == 0
    assert found[0] == "00000000a80425fb"
    assert found[1] == found[2] != found[0]


def test_each_ask_opens_a_terminal_and_its_object_opens_none(at_terminal: At) -> None:
    body = """
    made = await debian().terminal(cmd=["sh", "-c", "echo first; read line"]).sync()
    await made.exists("/etc")
    await debian().terminal(cmd=["sh", "-c", "echo second; read line"]).exists("/etc")
    print("over", flush=True)
    """
    with at_terminal(body) as screen:
        screen.wait_for("first\r\n")
        screen.type("\n")
        screen.wait_for("second\r\n")
        screen.type("\n")
        screen.wait_for("over")
        assert screen.end() == 0
    assert screen.shown.count("first\r\n") == screen.shown.count("second\r\n") == 1


def test_terminals_that_are_asked_for_together_take_turns(at_terminal: At) -> None:
    body = """
    async with anyio.create_task_group() as group:
        for number in "12":
            made = debian().with_env_variable("NUMBER", number)
            script = "echo be``gin$NUMBER; read line; echo end$NUMBER"
            group.start_soon(made.terminal(cmd=["sh", "-c", script]).sync)
    """
    with at_terminal(body) as screen:
        for _ in range(2):
            screen.wait_for("begin")
            time.sleep(0.5)
            screen.type("\n")
        assert screen.end() == 0
    words = re.findall(r"(begin|end)([12])\r", screen.shown)
    assert [word for word, _ in words] == ["begin", "end"] * 2
    assert words[0][1] == words[1][1]


def test_secrets_are_not_shown(at_terminal: At) -> None:
    body = """
    made = debian().with_secret_variable("KEY", dag.set_secret("terminal-key", "s3cretvalue"))
    await made.terminal().sync()
    """
    with at_terminal(body) as screen:
        screen.wait_for(PROMPT)
        screen.type("echo ${#KEY} [$KEY]\n")
        screen.wait_for("11 [***]")
        # The beginning of a secret may be somebody's typing: it is shown after a moment.
        screen.type("s3")
        screen.wait_for("s3")
        screen.type("\nexit\n")
        assert screen.end() == 0
    assert "s3cretvalue" not in screen.shown


def test_a_directory_is_looked_at_and_not_changed(at_terminal: At) -> None:
    body = """
    made = dag.directory().with_new_file("f", "of the directory")
    made = await made.terminal(container=debian().with_env_variable("A", "b")).sync()
    print(await made.entries(), flush=True)
    """
    with at_terminal(body) as screen:
        screen.wait_for(PROMPT)
        screen.type("cat f; echo; echo $PWD $A; touch g\n")
        screen.wait_for("of the directory\r\n/src b\r\n")
        screen.wait_for("Read-only file system")
        screen.type("exit\n")
        screen.wait_for("['f']")
        assert screen.end() == 0


SERVICE = """
listen = "use IO::Socket; my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 8000);"
listen += "open(F, '>', '/up'); while (1) { $s->accept }"
made = fresh(debian()).with_exposed_port(8000).with_env_variable("A", "b").with_workdir("/opt")
service = made.as_service(args=["perl", "-e", listen])
"""


def test_a_service_is_entered_while_it_runs(at_terminal: At) -> None:
    with at_terminal(SERVICE + "await service.terminal().hostname()") as screen:
        screen.wait_for(PROMPT)
        screen.type("ls /up; echo $A $PWD; tr '\\0' ' ' < /proc/2/cmdline | cut -c1-7; tty\n")
        screen.wait_for("/up\r\nb /opt\r\nperl -e\r\n/dev/pts/0\r\n")
        # As little is allowed there as to the service itself.
        screen.type("grep -h -e CapEff -e Seccomp: /proc/1/status /proc/self/status\n")
        screen.wait_for("CapEff:\t00000000a80425fb\r\nSeccomp:\t2\r\n")
        screen.wait_for("CapEff:\t00000000a80425fb\r\nSeccomp:\t2\r\n")
        screen.type("exit\n")
        assert screen.end() == 0


def test_a_service_without_a_container_has_no_terminal(at_terminal: At) -> None:
    body = "await dag.host().service([dagger.PortForward(backend=1)]).terminal().hostname()"
    with at_terminal(body) as screen:
        screen.wait_for("QueryError: a terminal needs a service that is a container")
        assert screen.end() == 1
