"""What scanners found, read from SARIF 2.1.0: the form GitHub's security tab takes too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Trivy and Bandit both write HIGH and CRITICAL as `error`, MEDIUM as `warning`, LOW as `note`.
_GRAVE = "error"


class SarifError(ValueError):
    """Raised for a text that is not SARIF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a scanner objects to; `line` is 0 where it is about the whole file."""

    tool: str
    rule: str
    grave: bool
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.tool} {self.rule}: {self.text}"


def findings(sarif: str) -> tuple[Finding, ...]:
    """All findings in the order of the file; a file that was not scanned counts as a grave one.

    Raises SarifError.
    """
    try:
        runs = json.loads(sarif)["runs"]
        return tuple(finding for run in runs for finding in _of_run(run))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise SarifError(f"not SARIF: {error!r}") from error


def identified(sarif: str, name: str) -> str:
    """The same text, its runs told apart from those of another scan by the same tool.

    GitHub takes no two runs of one tool in one upload that say nothing of which is which.
    Raises SarifError.
    """
    try:
        table = json.loads(sarif)
        for run in table["runs"]:
            run["automationDetails"] = {"id": f"{name}/"}
    except (ValueError, KeyError, TypeError) as error:
        raise SarifError(f"not SARIF: {error!r}") from error
    return json.dumps(table, indent=2) + "\n"


def grave(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those at HIGH or CRITICAL, which fail a run."""
    return tuple(finding for finding in found if finding.grave)


def _of_run(run: Mapping[str, Any]) -> Iterator[Finding]:
    driver = run["tool"]["driver"]
    rules = {rule["id"]: rule for rule in driver.get("rules", ())}
    for result in run["results"]:
        rule = rules.get(result["ruleId"], {})
        path, line = _place(result)
        yield Finding(
            tool=driver["name"],
            rule=result["ruleId"],
            # A result without a level has its rule's, and `warning` where that is silent.
            grave=result.get("level", _level(rule)) == _GRAVE,
            path=path,
            line=line,
            text=_text(rule, result),
        )
    for invocation in run.get("invocations", ()):
        yield from _not_scanned(driver["name"], invocation)


def _not_scanned(tool: str, invocation: Mapping[str, Any]) -> Iterator[Finding]:
    """Files that the scanner gave up on: silence about them would read as a clean bill."""
    for kind in ("toolConfigurationNotifications", "toolExecutionNotifications"):
        for notification in invocation.get(kind, ()):
            if notification.get("level") == _GRAVE:
                path, line = _place(notification)
                text = notification["message"]["text"]
                yield Finding(
                    tool=tool, rule="not scanned", grave=True, path=path, line=line, text=text
                )


def _level(rule: Mapping[str, Any]) -> str:
    return str(rule.get("defaultConfiguration", {}).get("level", "warning"))


def _place(result: Mapping[str, Any]) -> tuple[str, int]:
    locations = result.get("locations") or [{}]
    physical = locations[0].get("physicalLocation", {})
    path = str(physical.get("artifactLocation", {}).get("uri", "(no file)"))
    return path, int(physical.get("region", {}).get("startLine", 0))


def _text(rule: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The rule's title where it has one: Trivy's messages have many lines, a path first."""
    title = rule.get("shortDescription", {}).get("text") or result["message"]["text"]
    return str(title).strip().partition("\n")[0]
