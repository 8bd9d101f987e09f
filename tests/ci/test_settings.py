from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.settings import Settings

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


def test_github_is_known_by_its_own_variable() -> None:
    assert Settings.from_environment({"GITHUB_ACTIONS": "true"}).github
