from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import anyio
import dagger
import pytest

from ci.errors import InfrastructureError
from ci.settings import Settings, Smtp
from ci.source import Git
from ci.stage import Context, Result
from ci.stages import notify
from tests.ci.smtp_server import Mailbox, listening

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)


def a_summary(status: str = "failed") -> dict[str, Any]:
    stage = {
        "name": "lint",
        "status": status,
        "reason": "flake8 found fault.",
        "detail": "ci/x.py:1:1: F401 unused\nci/x.py:2:1: F401 unused",
        "started": 0.0,
        "failure": "code" if status == "failed" else None,
        "retried": "no network" if status == "failed" else None,
    }
    skipped = {
        "name": "build",
        "status": "skipped",
        "reason": "lint failed",
        "detail": "",
        "started": None,
        "failure": None,
        "retried": None,
    }
    return {
        "run_id": "r1",
        "version": "0.0.4",
        "commit": "0123456789" * 4,
        "branch": "develop",
        "status": status,
        "stages": [{**stage, "seconds": 2.5}, {**skipped, "seconds": 0.0}],
    }


def smtp(port: int, user: str | None = None, host: str = "127.0.0.1") -> Smtp:
    return Smtp(
        host=host,
        port=port,
        user=user,
        password="s3cret" if user else None,
        sender="ci@example.org",
        recipients=("a@example.org", "b@example.org"),
    )


def notified(reports: Path, mail: Smtp | None) -> Result:
    folder = reports / "notify"
    (reports / "lint").mkdir(parents=True)
    (reports / "lint" / "flake8.txt").write_text("ci/x.py:1:1: F401 unused")
    (reports / ".brewline").touch()
    folder.mkdir()
    (reports / "summary.json").write_text(json.dumps(a_summary()))
    context = Context(
        client=dagger.Client(),
        root=reports,
        git=Git(commit=None, branch=None),
        settings=Settings(github=False, brewery_csv=None, smtp=mail),
        reports=reports,
        report=folder,
        say=lambda text: None,
        tell=lambda text: None,
    )
    return anyio.run(notify.run, context)


def test_the_archive_holds_record_and_logs_but_not_itself(tmp_path: Path) -> None:
    result = notified(tmp_path, None)
    with tarfile.open(tmp_path / "notify" / "archive.tar.gz") as tar:
        names = tar.getnames()
    assert names == ["reports/lint", "reports/lint/flake8.txt", "reports/summary.json"]
    assert result.reason.startswith("archived; no email")


def test_the_email_goes_to_everyone_with_the_verdict(tmp_path: Path) -> None:
    with listening(Mailbox()) as mailbox:
        result = notified(tmp_path, smtp(mailbox.port))
    assert mailbox.recipients == ["a@example.org", "b@example.org"]
    (message,) = mailbox.messages
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert message["From"] == "ci@example.org"
    assert "lint: failed (code) in 2.5 s - flake8 found fault. - first try: no " in body.decode()
    assert "\n    ci/x.py:2:1: F401 unused" in body.decode()
    assert "build: skipped - lint failed" in body.decode()
    assert result.reason == "archived; email sent to a@example.org, b@example.org"


def test_the_subject_says_how_it_ended_and_of_what() -> None:
    message = notify.compose(a_summary("passed"), smtp(25))
    assert message["Subject"] == "✅ Brewline 0.0.4 passed: develop 0123456"


def test_a_tree_without_git_can_be_told_of_too() -> None:
    message = notify.compose({**a_summary(), "commit": None, "branch": None}, smtp(25))
    assert message["Subject"].endswith("failed: lint (code), no branch no comm")


def test_a_password_never_travels_in_the_clear(tmp_path: Path) -> None:
    with listening(Mailbox()) as mailbox, pytest.raises(InfrastructureError, match="STARTTLS"):
        notified(tmp_path, smtp(mailbox.port, user="ci"))
    assert mailbox.password is None and mailbox.messages == []


@needs_openssl
def test_the_password_is_given_once_the_connection_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with listening(Mailbox(tls=context)) as mailbox:
        notified(tmp_path / "reports", smtp(mailbox.port, user="ci", host="localhost"))
    assert mailbox.encrypted and mailbox.password == "s3cret"
    assert len(mailbox.messages) == 1


def test_a_server_that_refuses_is_a_failure_of_infrastructure(tmp_path: Path) -> None:
    with listening(Mailbox(refuse=True)) as mailbox, pytest.raises(InfrastructureError):
        notified(tmp_path, smtp(mailbox.port))
    assert (tmp_path / "notify" / "archive.tar.gz").exists()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InfrastructureError, match=f"127.0.0.1:{port} says"):
        notified(tmp_path, smtp(port))
