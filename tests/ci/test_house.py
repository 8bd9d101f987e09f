"""The house itself: who may import whom, what the lock files and workflows may hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.lockfile import only
from ci.sourcetree import IMAGE_SOURCE
from tests.ci import ROOT

FORBIDDEN = {
    "pipeline": {"ci", "engine", "dags", "images", "tests", "airflow", "dagger"},
    "engine": {"ci", "pipeline", "dags", "tests", "airflow"},
    "ci": {"pipeline", "dags", "tests", "airflow"},
    "dags": {"ci", "engine", "tests"},
}
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_only_go_down(package: str) -> None:
    found = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / package).rglob("*.py")
        for name in imported(file)
        if name in FORBIDDEN[package]
    }
    assert found == set()


def test_nothing_in_ci_asks_which_engine_runs_it() -> None:
    allowed = {"engine.py", "connection.py", "doctor.py", "embedded.py", "engine_command.py"}
    asking = {
        file.name
        for file in (ROOT / "ci").rglob("*.py")
        if re.search(r"engine\.name|== .embedded", file.read_text())
    }
    assert asking - allowed <= {"workflow.py"}  # it prints the name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_files_have_hashes_and_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"https?://|--(extra-)?index|--find-links", text)
    pins = re.findall(r"^[A-Za-z0-9][^\n]*?==[^\n]*(?:\n[ \t]+[^\n]*)*", text, re.MULTILINE)
    assert pins and all("--hash=sha256:" in pin for pin in pins)


def test_one_package_can_be_taken_out_of_a_lock_file() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text()
    part = only(text, "uv")
    assert part.startswith("uv==") and part.count("==") == 1 and "--hash=sha256:" in part
    with pytest.raises(LookupError, match="does not pin no-such-thing"):
        only(text, "no-such-thing")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_actions_and_ask_for_little(workflow: Path) -> None:
    text = workflow.read_text()
    uses = re.findall(r"uses: (\S+)", text)
    assert uses and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use) for use in uses)
    document = yaml.safe_load(text)
    assert document["permissions"] == {"contents": "read"}
    assert "concurrency" in document
    for job in document["jobs"].values():
        assert "timeout-minutes" in job
        commands = [step["run"] for step in job["steps"] if "run" in step]
        # Keyless signing needs GitHub's own identity, so that it stands in the wrapper.
        allowed = r'python ci/main\.py [^\n|;&]+|cosign sign --yes "\$IMAGE"'
        others = [run for run in commands if not re.fullmatch(allowed, run)]
        assert others in ([], [step["run"] for step in job["steps"] if step.get("id") == "signing"])


def ci_workflow() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text()))


def steps_of_all() -> list[dict[str, Any]]:
    return list(ci_workflow()["jobs"]["all"]["steps"])


def test_runs_of_a_branch_wait_for_each_other_and_only_those_of_a_pull_request_are_cancelled() -> (
    None
):
    # Without a queue a run that waits is cancelled by the next one that waits: commits are lost.
    # GitHub refuses a queue together with cancellation.
    concurrency = ci_workflow()["concurrency"]
    assert concurrency.keys() == {"group", "queue"} and concurrency["queue"] == "max"
    for name, job in ci_workflow()["jobs"].items():
        group = f"{name}-${{{{ github.event.pull_request.number || github.run_id }}}}"
        assert job["concurrency"] == {"group": group, "cancel-in-progress": True}


@pytest.mark.parametrize(
    ("broken", "needed"),
    [
        pytest.param("", False, id="signed-already"),
        pytest.param("gh attestation verify oci://i@d --repo o/r", True, id="provenance"),
        pytest.param("gh .* --predicate-type https://spdx.dev/Document/v2.3", True, id="sbom"),
        pytest.param("cosign verify i@d --certificate-identity https://w .*", True, id="signature"),
    ],
)
def test_an_image_is_signed_where_any_of_its_signatures_is_not_there(
    tmp_path: Path, broken: str, needed: bool
) -> None:
    (step,) = (each for each in steps_of_all() if each.get("id") == "signing")
    for name in ("gh", "cosign"):
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\necho {name} \"$@\" | grep -vqx '{broken or '-'}'\n")
        fake.chmod(0o755)
    environ = {
        **step["env"],
        **{"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output")},
        **{"GITHUB_REPOSITORY": "o/r", "IMAGE": "i@d", "WE": "https://w"},
    }
    # As GitHub runs what has `shell: bash`.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    (tmp_path / "output").touch()
    subprocess.run(command, env=environ, check=True)
    assert (tmp_path / "output").read_text() == ("needed=true\n" if needed else "")


def test_all_that_signs_asks_first_whether_it_is_needed() -> None:
    signing = [
        step
        for step in steps_of_all()
        if step.get("uses", "").startswith("actions/attest") or "cosign sign" in step.get("run", "")
    ]
    assert len(signing) == 3
    assert {step["if"] for step in signing} == {
        "always() && steps.signing.outputs.needed == 'true'"
    }


def test_the_job_that_moves_tags_has_the_commits_that_tell_which_is_later() -> None:
    (checkout,) = (step for step in steps_of_all() if "checkout" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0


def test_what_the_dockerfile_copies_is_in_its_allow_list() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert copied
    for path in copied:
        assert path in IMAGE_SOURCE or f"{path}/**/*.py" in IMAGE_SOURCE


def test_the_commit_and_its_time_come_after_all_that_takes_time_to_build() -> None:
    """A commit that changes neither DAGs nor pipeline must find every layer built."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    first = min(number for number, line in enumerate(lines) if line.startswith("ARG "))
    assert not [
        line for line in lines[first:] if line.startswith(("RUN ", "COPY ", "ADD ", "FROM "))
    ]


def test_bytecode_in_the_image_does_not_hang_on_times() -> None:
    """Files get one date there: bytecode that compares times would be made anew at each start."""
    text = (ROOT / "Dockerfile").read_text()
    compiled = re.findall(r"compileall [^\n]*", text)
    assert compiled and all("--invalidation-mode unchecked-hash" in each for each in compiled)


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "LICENSE", ".pre-commit-config.yaml"]
)
def test_a_reader_finds_what_a_repository_has(name: str) -> None:
    assert (ROOT / name).stat().st_size > 100


def test_the_readme_has_the_two_commands_first() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines[3].startswith("python ci/main.py all")
    assert lines[4].startswith("python ci/main.py selftest")


def test_the_changelog_knows_the_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version and f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()
