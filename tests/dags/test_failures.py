"""The emails about a DAG run that failed or is late, at a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.ci.smtp_server import Mailbox, listening

pytestmark = pytest.mark.airflow


def missed(run_id: str = "scheduled__1", state: str = "running") -> dict[str, Any]:
    """What the scheduler hands over when a deadline is missed."""
    run = {"dag_run_id": run_id, "state": state, "queued_at": "2024-05-05T00:00:01Z"}
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": "2024-05-05T00:20:01Z"}}


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with listening(Mailbox()) as box:
        where = f"smtp://127.0.0.1:{box.port}/?disable_ssl=true&disable_tls=true"
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"{where}&from_email=lake%40example.org")
        monkeypatch.setenv("BREWERY_ALERT_TO", "ops@example.org")
        yield box


def late(context: dict[str, Any]) -> bool:
    """Run the deadline's callback as an executor does; whether it succeeded."""
    from airflow.sdk.execution_time.callback_supervisor import execute_callback

    log = structlog.get_logger("test")
    file = Path("brewery_pipeline.py")
    return execute_callback("dags.failures.run_late", {"context": context}, file, None, log)[0]


def body(mailbox: Mailbox) -> str:
    (message,) = mailbox.messages
    parts = [part for part in message.walk() if not part.is_multipart()]
    return bytes(parts[0].get_payload(decode=True)).decode()


def test_a_missed_deadline_is_mailed(mailbox: Mailbox) -> None:
    assert late(missed())
    assert mailbox.messages[0]["From"] == "lake@example.org"
    assert mailbox.messages[0]["Subject"] == "brewery_pipeline is late: scheduled__1"
    assert "not done at\n2024-05-05T00:20:01Z" in body(mailbox).replace("\r", "")


def test_a_run_that_failed_is_not_called_late_as_well(mailbox: Mailbox) -> None:
    assert late(missed(state="failed"))
    assert mailbox.messages == []


def test_hostile_run_ids_stay_text(mailbox: Mailbox) -> None:
    assert late(missed("<b>{{ 7 * 7 }}</b>"))
    assert "&lt;b&gt;{{ 7 * 7 }}&lt;/b&gt;" in body(mailbox)


def test_nothing_is_sent_when_nobody_is_named(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BREWERY_ALERT_TO", " , ")
    assert late(missed())
    assert mailbox.messages == []
    assert "BREWERY_ALERT_TO names nobody" in caplog.text
