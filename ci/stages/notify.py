"""Notify: an archive of logs and reports, and an email to those who want to know."""

from __future__ import annotations

import json
import smtplib
import ssl
import tarfile
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import anyio.to_thread

from ci.errors import InfrastructureError
from ci.settings import Smtp
from ci.stage import Context, Result

_SMTPS = 465
_SECONDS = 30
_MARKS = {"passed": "✅", "failed": "❌", "skipped": "⏭", "cancelled": "⏹"}


async def run(context: Context) -> Result:
    """Archive what the other stages left, then send the email where one is configured."""
    archive = context.report / "archive.tar.gz"
    await anyio.to_thread.run_sync(_pack, context.reports, archive)
    smtp = context.settings.smtp
    if smtp is None:
        return Result(reason="archived; no email: BREWLINE_SMTP_HOST, _FROM or _TO is not set")
    message = compose(json.loads((context.reports / "summary.json").read_text()), smtp)
    try:
        await anyio.to_thread.run_sync(_send, message, smtp)
    except (OSError, smtplib.SMTPException) as error:
        raise InfrastructureError(
            f"The email was not sent, {smtp.host}:{smtp.port} says: {error}."
        ) from error
    return Result(reason=f"archived; email sent to {', '.join(smtp.recipients)}")


def _pack(reports: Path, archive: Path) -> None:
    """Everything in the report folder but this stage's own folder, names sorted."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(reports.iterdir()):
            if path != archive.parent and not path.name.startswith("."):
                tar.add(path, arcname=f"reports/{path.name}")


def compose(summary: dict[str, Any], smtp: Smtp) -> EmailMessage:
    """The email about a run, from its record."""
    commit = (summary["commit"] or "no commit")[:7]
    branch = summary["branch"] or "no branch"
    message = EmailMessage()
    failed = [
        f"{stage['name']} ({stage['failure']})" for stage in summary["stages"] if stage["failure"]
    ]
    message["Subject"] = (
        f"{_MARKS[summary['status']]} Brewline {summary['version']} {summary['status']}:"
        f" {', '.join([*failed, f'{branch} {commit}'])}"
    )
    message["From"] = smtp.sender
    message["To"] = ", ".join(smtp.recipients)
    lines = [_told(stage) for stage in summary["stages"] if stage["name"] != "notify"]
    message.set_content("\n".join([f"Run {summary['run_id']}", "", *lines]) + "\n")
    return message


def _told(stage: dict[str, Any]) -> str:
    """The lines about a stage: how it ended, whose fault that was, and what shows it."""
    failed = f" ({stage['failure']})" if stage["failure"] else ""
    parts = [
        f"{_MARKS[stage['status']]} {stage['name']}: {stage['status']}{failed}",
        f" in {stage['seconds']:.1f} s" if stage["started"] is not None else "",
        f" - {stage['reason']}" if stage["reason"] else "",
        f" - first try: {stage['retried']}" if stage["retried"] else "",
        *(f"\n    {line}" for line in stage["detail"].splitlines()),
    ]
    return "".join(parts)


def _send(message: EmailMessage, smtp: Smtp) -> None:
    """Hand the message over; a password travels encrypted or not at all."""
    context = ssl.create_default_context()
    client = (
        smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_SECONDS, context=context)
        if smtp.port == _SMTPS
        else smtplib.SMTP(smtp.host, smtp.port, timeout=_SECONDS)
    )
    with client:
        if smtp.port != _SMTPS:
            client.ehlo()
            if client.has_extn("starttls"):
                client.starttls(context=context)
            elif smtp.user:
                raise smtplib.SMTPNotSupportedError("no STARTTLS, and a password is set")
        if smtp.user:
            client.login(smtp.user, smtp.password or "")
        client.send_message(message)
