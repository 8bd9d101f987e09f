"""The configuration of a stack as it is kept: all that tells, and nothing that must stay secret."""

from __future__ import annotations

import json
from pathlib import Path

from ci.compose import read_compose
from ci.configuration import configuration

ROOT = Path(__file__).parents[2]
SECRETS = {
    "POSTGRES_PASSWORD": "pg-s3cret",
    "AIRFLOW_FERNET_KEY": "fernet-s3cret",
    "AIRFLOW_SECRET_KEY": "api-s3cret",
    "AIRFLOW_JWT_SECRET": "jwt-s3cret",
    "AIRFLOW_ADMIN_PASSWORD": "admin-s3cret",
    "AIRFLOW_CONN_SMTP_DEFAULT": "smtp://user:mail-s3cret@host",
    "AWS_SECRET_ACCESS_KEY": "aws-s3cret",
}


def test_the_configuration_of_our_stack_has_no_secret_in_it() -> None:
    compose = read_compose(ROOT / "compose.yaml", SECRETS, profiles=["test", "celery", "s3"])
    text = json.dumps(configuration(compose))
    assert "s3cret" not in text
    assert "postgresql+psycopg2://airflow:***@postgres:5432/airflow" in text


def test_what_was_started_is_told_with_its_command_and_needs(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""
services:
  a:
    image: busybox
    command: ["serve", "--password", "hush-hush", "--url", "http://u:p/w@h/", "--token", "b-s3cret"]
    entrypoint: ["run", "hush-hush"]
    healthcheck: {test: ["CMD", "ping", "-a", "hush-hush"]}
    environment: {PASSWORD: hush-hush, PASSWORD_FILE: /run/x, PLAIN: words, EMPTY_TOKEN: ""}
    depends_on: [b]
  b: {image: busybox, environment: {PGPASS: b-s3cret}}
""")
    told = configuration(read_compose(tmp_path / "compose.yaml", {}))["a"]
    password = ["serve", "--password", "***", "--url", "http://u:***@h/"]
    assert told["command"] == [*password, "--token", "***"]
    assert told["entrypoint"] == ["run", "***"]
    assert told["healthcheck"] == ["ping", "-a", "***"]
    assert told["environment"] == {
        "EMPTY_TOKEN": "",
        "PASSWORD": "***",
        "PASSWORD_FILE": "/run/x",
        "PLAIN": "words",
    }
    assert told["depends_on"] == {"b": "service_started"}
