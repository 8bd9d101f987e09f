from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ci import embedded
from ci.errors import InfrastructureError
from engine import requirements


def test_stand_ins_are_named_once_in_the_order_of_their_use(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = [
        {"event": "standin", "image": "b"},
        {"event": "exec", "image": "c"},
        {"event": "standin", "image": "a"},
        {"event": "standin", "image": "b"},
    ]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "stan')
    assert embedded.stand_ins(events) == ("b", "a")


def test_packages_that_moved_are_told_of_each_stand_in_once(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = [
        {"event": "moved", "image": "b", "packages": ["x 1 -> 2"]},
        {"event": "standin", "image": "c"},
        {"event": "moved", "image": "b", "packages": ["x 1 -> 2"]},
    ]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert embedded.moved_packages(events) == {"b": ["x 1 -> 2"]}


def test_an_engine_that_tells_nothing_used_no_stand_in(tmp_path: Path) -> None:
    assert embedded.stand_ins(tmp_path / "none") == ()
    assert embedded.moved_packages(tmp_path / "none") == {}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose engine only says how it was started."""
    root = tmp_path / "a tree"
    (root / "engine").mkdir(parents=True)
    for module in ("start", "__main__"):
        (root / "engine" / f"{module}.py").write_text(
            f"import os, sys; print({module!r}, os.getpid() < 10, os.getsid(0), *sys.argv[1:])"
        )
    return root


@pytest.mark.engine
def test_the_launcher_starts_a_session_in_namespaces_away_from_the_terminal(
    tree: Path, tmp_path: Path
) -> None:
    launcher = embedded.launcher(tree, {"XDG_CACHE_HOME": str(tmp_path)})
    done = subprocess.run(
        [launcher, "session", "a b"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    # The leader of its session is outside of its process namespace.
    assert done.stdout == "start True 0 a b\n"


def test_the_launcher_passes_other_commands_on(tree: Path, tmp_path: Path) -> None:
    launcher = embedded.launcher(tree, {"XDG_CACHE_HOME": str(tmp_path)})
    done = subprocess.run([launcher, "info", "--json"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("__main__ False")
    assert done.stdout.endswith("info --json\n")


def test_the_launcher_is_written_once_and_again_when_it_differs(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    path = embedded.launcher(tmp_path, environ)
    before = path.stat().st_ino
    assert embedded.launcher(tmp_path, environ).stat().st_ino == before
    path.write_text("#!/bin/sh\nexit 1\n")
    assert "-m engine" in embedded.launcher(tmp_path, environ).read_text()
    assert os.access(path, os.X_OK)


def test_two_trees_have_two_launchers(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    one = embedded.launcher(tmp_path / "x" / "main", environ)
    other = embedded.launcher(tmp_path / "y" / "main", environ)
    assert one != other


def test_a_package_counts_as_missing_when_its_probe_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probes = {"sh": "here", "no-such-program": "gone", "/no/such/file": "file"}
    monkeypatch.setattr(requirements, "PACKAGES", probes)
    assert embedded.missing_packages() == ["gone", "file"]


def test_where_nothing_can_be_installed_the_exact_command_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requirements, "PACKAGES", {"no-such-program": "crun"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InfrastructureError) as raised:
        embedded.require_packages(print)
    command = "apt-get install --yes --no-install-recommends crun"
    assert f"run `{command}` as root" in raised.value.message


def test_as_root_what_is_missing_is_installed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" = update ] || touch {installed}\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(requirements, "PACKAGES", {str(installed): "crun"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[str] = []
    embedded.require_packages(said.append)
    assert said == [
        "Installing what the embedded engine lacks:"
        " apt-get install --yes --no-install-recommends crun"
    ]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["update", "install"]


def test_an_installation_that_fails_shows_what_apt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: Unable to locate package crun'\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(requirements, "PACKAGES", {"no-such-program": "crun"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InfrastructureError, match="did not work") as raised:
        embedded.require_packages(lambda line: None)
    assert "Unable to locate package crun" in raised.value.detail
