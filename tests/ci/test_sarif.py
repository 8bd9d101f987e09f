"""Reading SARIF, from samples cut from what Trivy and Bandit wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci.sarif import SarifError, findings, grave, identified


def sarif(
    *results: dict[str, Any],
    tool: str = "Trivy",
    rules: tuple[dict[str, Any], ...] = (),
    invocations: tuple[dict[str, Any], ...] = (),
) -> str:
    driver = {"name": tool, "rules": list(rules)}
    run = {"tool": {"driver": driver}, "results": list(results), "invocations": list(invocations)}
    return json.dumps({"version": "2.1.0", "runs": [run]})


def result(
    rule: str, level: str | None, path: str, line: int | None, text: str = "text"
) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": path}}
    if line is not None:
        physical["region"] = {"startLine": line, "endLine": line}
    made: dict[str, Any] = {
        "ruleId": rule,
        "message": {"text": text},
        "locations": [{"physicalLocation": physical}],
    }
    return made if level is None else made | {"level": level}


TRIVY_TEXT = """Artifact: Dockerfile
Type: dockerfile
Vulnerability DS-0002
Severity: HIGH
Message: Specify at least 1 USER command in Dockerfile with non-root user as argument"""


def test_trivy_finding_names_file_line_rule_and_title() -> None:
    rule = {"id": "DS-0002", "shortDescription": {"text": "Image user should not be 'root'"}}
    text = sarif(result("DS-0002", "error", "Dockerfile", 3, TRIVY_TEXT), rules=(rule,))

    (finding,) = findings(text)

    assert str(finding) == "Dockerfile:3: Trivy DS-0002: Image user should not be 'root'"
    assert finding.grave


def test_bandit_finding_takes_its_message_since_its_rules_have_no_title() -> None:
    text = sarif(
        result("B602", "error", "ci/x.py", 2, "subprocess call with shell=True.\nMore."),
        tool="Bandit",
        rules=({"id": "B602", "name": "subprocess_popen"},),
    )

    (finding,) = findings(text)

    assert str(finding) == "ci/x.py:2: Bandit B602: subprocess call with shell=True."


@pytest.mark.parametrize(
    ("level", "rule_level", "is_grave"),
    [
        pytest.param("error", None, True, id="high or critical"),
        pytest.param("warning", None, False, id="medium"),
        pytest.param("note", None, False, id="low"),
        pytest.param("note", "error", False, id="the result outranks its rule"),
        pytest.param(None, "error", True, id="no level: the rule's"),
        pytest.param(None, None, False, id="no level anywhere"),
    ],
)
def test_only_level_error_is_grave(
    level: str | None, rule_level: str | None, is_grave: bool
) -> None:
    rule: dict[str, Any] = {"id": "R"}
    if rule_level:
        rule["defaultConfiguration"] = {"level": rule_level}
    found = findings(sarif(result("R", level, "a.py", 1), rules=(rule,)))

    assert bool(grave(found)) is is_grave


def test_file_that_bandit_could_not_parse_is_a_grave_finding() -> None:
    notification = {
        "message": {"text": "syntax error while parsing AST from file"},
        "level": "error",
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "dags/a.py"}}}],
    }
    invocation = {"executionSuccessful": True, "toolConfigurationNotifications": [notification]}

    (finding,) = findings(sarif(tool="Bandit", invocations=(invocation,)))

    assert finding.grave
    assert str(finding) == (
        "dags/a.py: Bandit not scanned: syntax error while parsing AST from file"
    )


def test_finding_about_a_whole_file_has_no_line() -> None:
    (finding,) = findings(sarif(result("CVE-2026-1", "error", "usr/lib/x", None)))

    assert str(finding).startswith("usr/lib/x: ")


def test_finding_without_a_place_is_kept() -> None:
    made = result("R", "error", "a", 1) | {"locations": []}

    (finding,) = findings(sarif(made))

    assert finding.path == "(no file)"


def test_findings_keep_the_order_of_the_file() -> None:
    text = sarif(result("B", "note", "b", 2), result("A", "error", "a", 1))

    assert [finding.rule for finding in findings(text)] == ["B", "A"]


def test_clean_scan_has_no_findings() -> None:
    assert findings(sarif()) == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("FATAL: no", id="not JSON"),
        pytest.param("[]", id="not an object"),
        pytest.param("null", id="null"),
        pytest.param('{"runs": [{}]}', id="no tool"),
        pytest.param('{"runs": [{"tool": {"driver": {"name": "x"}}}]}', id="no results"),
        pytest.param('{"runs": ["x"]}', id="run of another type"),
    ],
)
def test_what_is_not_sarif_is_refused_rather_than_read_as_clean(text: str) -> None:
    with pytest.raises(SarifError, match="not SARIF"):
        findings(text)


def test_runs_of_two_scans_by_one_tool_can_be_told_apart() -> None:
    text = sarif(result("X", "error", "a", 1))
    runs = [json.loads(identified(text, name))["runs"][0] for name in ("trivy", "trivy-image")]
    assert [run["automationDetails"]["id"] for run in runs] == ["trivy/", "trivy-image/"]
    assert findings(identified(text, "x")) == findings(text)
    with pytest.raises(SarifError):
        identified("[]", "x")
