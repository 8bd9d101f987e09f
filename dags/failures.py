"""What follows when a task fails, or a DAG run fails or is late: tries, and emails.

Emails go to those whom BREWERY_ALERT_TO names; the mail server, its credentials and the sender are
Airflow's connection `smtp_default`. Without recipients the log has the alert and nothing is sent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

# `airflow.sdk` has these too, but its stub file does not name them.
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

__all__ = ["DEADLINE", "RETRIES", "run_failed", "run_late"]

log = logging.getLogger(__name__)

# Trying again helps against the world outside, never against bad data or a bug. A worker that is
# killed asks no policy: it is tried again too.
_OUTSIDE: list[type[BaseException] | str] = [
    "pipeline.errors.UpstreamError",
    "pipeline.errors.StorageError",
    "builtins.OSError",
    "airflow.sdk.exceptions.AirflowRuntimeError",
]

# After 20 s, 1 min and 3 min, each with some jitter.
RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 3.0,
    "retry_policy": ExceptionRetryPolicy([RetryRule(_OUTSIDE)], default=RetryAction.FAIL),
}

# Jinja templates, rendered with the context: an id that looks like a template stays text.
_FAILED = (
    "brewery_pipeline failed: {{ run_id }}",
    """<p>Run <b>{{ run_id | e }}</b> of brewery_pipeline failed ({{ reason | e }}).</p>
{% if ti is defined %}<p>Task <b>{{ ti.task_id | e }}</b> was the first to fail, on try
{{ ti.try_number }}: <a href="{{ ti.log_url | e }}">its log</a> says why.</p>{% endif %}
<p>Readers of the lake still see the last good run. Clear the failed tasks to go on from there.</p>
""",
)
_LATE = (
    "brewery_pipeline is late: {{ dag_run.dag_run_id }}",
    """<p>Run <b>{{ dag_run.dag_run_id | e }}</b> of brewery_pipeline is not done at
{{ deadline.deadline_time | e }}; it was queued at {{ dag_run.queued_at | e }}.</p>
<p>It goes on. Readers of the lake see the last good run until this one is committed.</p>
""",
)


def run_failed(context: Mapping[str, Any]) -> None:
    """Tell that a DAG run failed, and which task was the first to."""
    _mail("failed", *_FAILED, context)


def run_late(context: Mapping[str, Any]) -> None:
    """Tell that a DAG run has passed its deadline; of one that has failed, that was told before."""
    if context["dag_run"]["state"] != "failed":
        _mail("is late", *_LATE, context)


# In seconds, which Airflow 3.3.2 takes too: with a timedelta, clearing tasks of a run that failed
# within its deadline raises TypeError (apache/airflow pull request 70370).
_LIMIT = cast(timedelta, 20 * 60)

# The callback runs where tasks run: no triggerer is needed for it.
DEADLINE = DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, _LIMIT, SyncCallback(run_late))


def _mail(what: str, subject: str, text: str, context: Mapping[str, Any]) -> None:
    recipients = os.environ.get("BREWERY_ALERT_TO", "").replace(",", " ").split()
    if not recipients:
        log.warning("A run %s; no email is sent, because BREWERY_ALERT_TO names nobody.", what)
        return
    # Here, because every parse of the DAG file imports this module.
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notify = SmtpNotifier(to=recipients, subject=subject, html_content=text)
    # Without the DAG the templates are rendered in a sandbox; and `dag.test()` gives one that
    # cannot render at all.
    notify({name: value for name, value in context.items() if name != "dag"})
