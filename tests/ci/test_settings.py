from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.publishing.destination import destination
from ci.settings import PUBLIC_API, Settings

MAIL = {
    "BREWLINE_SMTP_HOST": "mail.example.org",
    "BREWLINE_SMTP_FROM": "ci@example.org",
    "BREWLINE_SMTP_TO": "a@example.org, b@example.org,",
}


def test_an_empty_environment_sets_nothing() -> None:
    settings = Settings.from_environment({})
    assert (settings.github, settings.brewery_csv, settings.smtp) == (False, None, None)


def test_the_email_is_configured_by_host_sender_and_recipients() -> None:
    smtp = Settings.from_environment({**MAIL, "BREWLINE_SMTP_PORT": ""}).smtp
    assert smtp is not None
    assert (smtp.host, smtp.port, smtp.user) == ("mail.example.org", 587, None)
    assert smtp.recipients == ("a@example.org", "b@example.org")


@pytest.mark.parametrize("missing", list(MAIL))
def test_without_one_of_them_there_is_no_email(missing: str) -> None:
    assert Settings.from_environment({**MAIL, missing: ""}).smtp is None


@pytest.mark.parametrize("port", ["smtp", "0", "65536", "-25", "25 "])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(UsageError, match="BREWLINE_SMTP_PORT"):
        Settings.from_environment({**MAIL, "BREWLINE_SMTP_PORT": port})


def test_the_password_is_in_no_printed_form() -> None:
    settings = Settings.from_environment({**MAIL, "BREWLINE_SMTP_PASSWORD": "s3cret"})
    assert "s3cret" not in repr(settings)


def test_the_data_set_is_known_by_its_full_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"BREWERY_CSV": "b.csv"}).brewery_csv == tmp_path / "b.csv"


def test_a_data_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file: correct it or unset it"):
        Settings.from_environment({"BREWERY_CSV": str(tmp_path)})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", PUBLIC_API),
        (" https://api.example.org/ ", "https://api.example.org"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("https://example.org/breweries/v1/", "https://example.org/breweries"),
    ],
)
def test_the_live_source_is_spelt_in_one_way(given: str, url: str) -> None:
    assert Settings.from_environment({"BREWERY_API": given}).brewery_api == url


@pytest.mark.parametrize(
    "given", ["localhost:8000", "api.example.org", "ftp://x", "https://", "http://a b"]
)
def test_a_live_source_that_is_no_url_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="BREWERY_API is .*: give a URL such as https://"):
        Settings.from_environment({"BREWERY_API": given})


@pytest.mark.parametrize("name", ["BREWERY_CSV", "BREWLINE_SIGNING_KEY", "BREWLINE_VERIFY_KEY"])
def test_a_file_in_a_folder_that_may_not_be_entered_is_told(tmp_path: Path, name: str) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "file").touch()
    locked.chmod(0)
    environ = {name: str(locked / "file")}
    try:
        with as_nobody(), pytest.raises(UsageError, match=f"{name} names .* which is not a file"):
            Settings.from_environment(environ)
            destination("ghcr.io/o/r", environ)
    finally:
        locked.chmod(0o700)


@contextmanager
def as_nobody() -> Iterator[None]:
    """What root is not allowed either, since it is none in here."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_github_is_known_by_its_own_variable() -> None:
    assert Settings.from_environment({"GITHUB_ACTIONS": "true"}).github
