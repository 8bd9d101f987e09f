"""The build stage with `--publish`: a true engine, a true registry."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ci import registry, verify_command, workflow
from ci.command_line import parse
from ci.errors import BrewlineError, InfrastructureError, Refused, UsageError
from ci.publishing.attestations import attested
from ci.publishing.destination import Destination
from ci.publishing.images import REVISION, SOURCE, read
from ci.publishing.promotion import digest_of
from ci.publishing.provenance import source_of
from tests.ci import ROOT
from tests.ci.publishing import PASSWORD, USER, committed, git, image, within
from tests.ci.publishing.proxy import Proxy, dies_before

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root"),
]

SCHEMA = json.loads((ROOT / "ci" / "report.schema.json").read_text())
DOCKERFILE = """\
FROM python:3.11-slim-bookworm
ENV AIRFLOW__CORE__DAGS_FOLDER=/dags
COPY dags /dags
USER 50000
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.revision="${REVISION}" org.opencontainers.image.source="${SOURCE}"
"""


@pytest.fixture(autouse=True)
def environment(on_its_own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A login, and a Docker configuration that names none."""
    monkeypatch.setenv("BREWLINE_REGISTRY_USER", USER)
    monkeypatch.setenv("BREWLINE_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A committed tree, on main, whose image takes no time."""
    files = {
        "pyproject.toml": '[project]\nname = "tiny"\nversion = "1.2.3"\n',
        "requirements/airflow.txt": "",
        "Dockerfile": DOCKERFILE,
        "dags/tiny.py": f'"""A DAG of {tmp_path}."""\n',
    }
    return committed(tmp_path / "tree", files)


@pytest.fixture
def guarded(registry_program: Path, settings: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A registry on loopback, with a password and without TLS."""
    plain = {name: value for name, value in settings.items() if "_HTTP_" not in name}
    with registry.running(registry_program, tmp_path, plain) as address:
        yield address


def build(tree: Path, host: str, *arguments: str) -> dict[str, Any]:
    """The record of a `build --publish`, and its console's lines with it."""
    report = tree.parent / "reports"
    words = ["build", "--publish", "--registry", f"{host}/our/product", "--engine", "embedded"]
    options = parse([*words, "--report", str(report), *arguments], tree)
    code = workflow.main(options, tree)
    summary = json.loads((report / "summary.json").read_text())
    jsonschema.validate(summary, SCHEMA)
    assert summary["exit_code"] == code
    assert isinstance(summary, dict)
    return summary


def stage(summary: dict[str, Any], name: str = "build") -> dict[str, Any]:
    return next(entry for entry in summary["stages"] if entry["name"] == name)


def where(host: str) -> Destination:
    return Destination(repository=f"{host}/our/product", user=USER, password=PASSWORD)


def verified(host: str, tag: str, tree: Path, *arguments: str) -> int:
    image = f"{host}/our/product:{tag}"
    command = ["verify", image, "--registry", host, *arguments]
    return verify_command.main(parse(command, tree), tree)


def test_the_login_goes_to_the_registry_that_it_is_said_to_be_for_alone(
    tree: Path, guarded: str
) -> None:
    image = f"{guarded}/our/product:latest"
    assert verify_command.main(parse(["verify", image, "--registry", guarded], tree), tree) == 4
    for elsewhere in ([], ["--registry", "registry.example.org"]):
        with pytest.raises(InfrastructureError, match="wants a login, or has no such image"):
            verify_command.main(parse(["verify", image, *elsewhere], tree), tree)


def test_an_image_is_pushed_once_with_all_that_is_said_of_it(
    tree: Path,
    guarded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    commit = git(tree, "rev-parse", "HEAD")
    tag = f"sha-{commit[:7]}"
    first = build(tree, guarded)
    assert stage(first)["reason"] == f"{tag} pushed"
    digest = first["image"]["digest"]
    reference = f"{guarded}/our/product@{digest}"
    assert first["image"] == {"reference": reference, "digest": digest, "tags": [tag]}
    published = within(where(guarded), lambda r: read(r, tag))
    assert published and published.digest == digest and published.labels[REVISION] == commit
    assert published.stand_in == "python:3.11-slim-bookworm"
    found = within(where(guarded), lambda r: list(attested(r, digest)))
    bill, provenance = (each.statement.predicate for each in found)
    assert bill["spdxVersion"] == "SPDX-2.3" and len(bill["packages"]) > 50
    assert bill["name"] == reference
    materials = provenance["buildDefinition"]["resolvedDependencies"]
    assert materials[0] == {"digest": {"gitCommit": commit}}
    assert guarded not in json.dumps(provenance)
    assert {entry["uri"] for entry in materials[1:]} == {
        "docker://python:3.11-slim-bookworm",
        "Dockerfile",
        "requirements/airflow.txt",
    }
    kept = set(stage(first)["artifacts"])
    assert {"build/sbom.spdx.json", "build/sbom.intoto.json", "build/provenance.intoto.json"} < kept
    assert verified(guarded, tag, tree) == 0

    second = build(tree, guarded)
    assert stage(second)["reason"] == f"{tag} was published already"
    assert second["image"] == first["image"]
    assert output.read_text() == 2 * f"image={guarded}/our/product\ndigest={digest}\n"
    bill = json.loads((tmp_path / "reports/build/sbom.spdx.json").read_text())
    assert bill["name"] == reference
    assert set(stage(second)["artifacts"]) == kept
    provenance = json.loads((tmp_path / "reports/build/provenance.intoto.json").read_text())
    assert provenance["predicate"] == found[1].statement.predicate

    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    shown = capsys.readouterr()
    texts = [shown.out, shown.err]
    texts += [path.read_text() for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert not any(word in text for text in texts for word in (PASSWORD, login))


def test_label_and_provenance_name_where_the_tree_was_cloned_from(tree: Path, guarded: str) -> None:
    git(tree, "remote", "add", "origin", "git@git.test:our/product.git")
    build(tree, guarded)
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    published = within(where(guarded), lambda r: read(r, tag))
    assert published and published.labels[SOURCE] == "https://git.test/our/product"
    found = within(where(guarded), lambda r: list(attested(r, published.digest)))
    assert source_of(found[1].statement.predicate) == "https://git.test/our/product"
    assert verified(guarded, tag, tree) == 0


def test_an_image_on_a_stand_in_does_not_leave_this_machine(tree: Path, address: str) -> None:
    summary = build(tree, address)
    assert (summary["exit_code"], summary["failure"]) == (4, "refused")
    assert "stand-in for python:3.11-slim-bookworm, so that it is not published" in (
        stage(summary)["reason"]
    )
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    assert within(where(address), lambda r: digest_of(r, tag)) == ""


def test_a_wrong_password_is_told_before_anything_is_built(
    tree: Path, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREWLINE_REGISTRY_PASSWORD", "wr0ng")
    (tree / "Dockerfile").write_text("FRM x\n")
    git(tree, "commit", "-qam", "A Dockerfile that nobody gets to")
    summary = build(tree, guarded)
    assert summary["exit_code"] == 3
    assert "does not accept the login" in stage(summary)["reason"]


def test_the_name_of_another_commit_is_not_taken_over(tree: Path, guarded: str) -> None:
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    other = within(where(guarded), lambda r: image(r, tag))
    summary = build(tree, guarded)
    assert summary["exit_code"] == 4
    assert f"{tag} is on an image of the commit abcdef" in stage(summary)["reason"]
    assert within(where(guarded), lambda r: digest_of(r, tag)) == other.digest


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("/manifests/sha-", id="before-the-tag"),
        pytest.param("/manifests/sha256", id="before-the-statements"),
    ],
)
def test_what_a_dying_registry_leaves_unfinished_the_next_run_finishes(
    tree: Path, faulty: Proxy, part: str
) -> None:
    faulty.misdeed = dies_before("PUT", part)
    assert build(tree, faulty.address)["exit_code"] == 3
    faulty.misdeed = None
    summary = build(tree, faulty.address)
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    assert summary["exit_code"] == 0 and stage(summary)["reason"] == f"{tag} pushed"
    assert verified(faulty.address, tag, tree) == 0


def test_statements_are_signed_where_there_is_a_key(
    tree: Path, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.pem"
    command = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run([*command.split(), key], check=True, capture_output=True)
    build(tree, guarded)
    tag = f"sha-{git(tree, 'rev-parse', 'HEAD')[:7]}"
    assert verified(guarded, tag, tree, "--key", str(key)) == 4
    monkeypatch.setenv("BREWLINE_SIGNING_KEY", str(key))
    # What another run left unsigned is not taken for finished.
    assert stage(build(tree, guarded))["reason"] == f"{tag} pushed"
    assert verified(guarded, tag, tree, "--key", str(key)) == 0
    assert stage(build(tree, guarded))["reason"] == f"{tag} was published already"


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        pytest.param("dirty", Refused, "changes that no commit holds", id="dirty-tree"),
        pytest.param("pull", Refused, "pull request publishes nothing", id="pull-request"),
        pytest.param("half", UsageError, "_PASSWORD is not: set both", id="half-a-login"),
        pytest.param("none", UsageError, "no credentials for registry.test", id="no-login"),
        pytest.param("version", UsageError, "not one of PEP 440", id="version"),
        pytest.param("key", UsageError, "which is not a file", id="no-key"),
    ],
)
def test_what_cannot_be_published_is_told_before_anything_starts(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    break_it: str,
    error: type[BrewlineError],
    message: str,
) -> None:
    if break_it == "dirty":
        (tree / "dags" / "new.py").touch()
    elif break_it == "pull":
        monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    elif break_it == "version":
        (tree / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "one"\n')
        git(tree, "commit", "-qam", "A version that is none")
    elif break_it == "key":
        monkeypatch.setenv("BREWLINE_SIGNING_KEY", "nowhere.pem")
    elif break_it in ("half", "none"):
        monkeypatch.delenv("BREWLINE_REGISTRY_PASSWORD")
    if break_it == "none":
        monkeypatch.delenv("BREWLINE_REGISTRY_USER")
    with pytest.raises(error, match=message):
        build(tree, "registry.test")
    assert not (tree.parent / "reports").exists()
