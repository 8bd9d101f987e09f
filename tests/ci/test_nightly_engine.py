"""The nightly run for real: against a source that is there, and against one that is not."""

from __future__ import annotations

import json
import os
import tarfile
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path

import pytest

from ci.stack import API
from tests.ci.smtp_server import Mailbox, listening
from tests.ci.stage_runs import Ran, Tree

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]


DOWN = "http://brewery.invalid"
HISTORY = "nightly.json"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of the project that keeps the last good run to itself."""
    copy = Tree.copied(tmp_path / "tree")
    kept = f'context.settings.cache / "{HISTORY}"'
    copy.replace("ci/stages/nightly.py", kept, f'context.root / "{HISTORY}"')
    return copy


def nightly(tree: Tree, api: str) -> tuple[Ran, Message]:
    """A nightly run, and the email about it."""
    with listening(Mailbox()) as mailbox:
        ran = tree.run(
            "nightly",
            BREWERY_API=api,
            BREWLINE_SMTP_HOST="127.0.0.1",
            BREWLINE_SMTP_PORT=str(mailbox.port),
            BREWLINE_SMTP_FROM="ci@example.org",
            BREWLINE_SMTP_TO="team@example.org",
        )
    (message,) = mailbox.messages
    return ran, message


def body(message: Message) -> str:
    """The text of an email."""
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def test_a_source_that_is_down_ends_the_night_as_upstream_and_alerts_the_team(tree: Tree) -> None:
    last_good = {
        DOWN: {
            "finished": "2026-01-02 02:10 UTC",
            "api": DOWN,
            "rows": 11822,
            "silver_rows": 11820,
            "seconds": 30.0,
        }
    }
    history = tree.root / HISTORY
    history.write_text(json.dumps(last_good))
    ran, message = nightly(tree, DOWN)
    assert ran.ended == (5, "upstream"), ran.output
    why = f"The brewery API failed at {DOWN}/v1/breweries/meta: ConnectError"
    assert ran.explains(why, "2026-01-02 02:10 UTC, of 11,822 rows")
    # No stack is started for it.
    assert os.listdir(ran.report / "nightly") == ["source.txt"]
    assert "failed: nightly (upstream)" in str(make_header(decode_header(message["Subject"])))
    told = body(message)
    assert "nightly: failed (upstream)" in told
    assert why in told and "2026-01-02 02:10 UTC, of 11,822 rows" in told
    assert json.loads(history.read_text()) == last_good


@pytest.mark.soak
def test_a_good_night_is_archived_told_and_compared_with_the_one_before(tree: Tree) -> None:
    first, message = nightly(tree, API)
    assert (first.status, first.left) == (0, []), first.output
    assert "12,000 rows" in first.stage["reason"]
    assert first.stage["reason"].endswith("no earlier run to compare with")
    assert "passed" in message["Subject"]
    with tarfile.open(first.report / "notify/archive.tar.gz") as archive:
        names = archive.getnames()
    for kept in ("verdict.json", "logs/components/scheduler.log", "configuration.json"):
        assert f"reports/nightly/{kept}" in names

    second, _ = nightly(tree, API)
    assert "; +0 rows and " in second.stage["reason"]
