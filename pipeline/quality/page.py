"""The verdict as one HTML page: no script, no network, and no trust in what the source wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from pipeline.quality.charts import bars, stack, world_map
from pipeline.quality.check import Check, Status, worst
from pipeline.quality.markup import number, percent, shown
from pipeline.quality.style import STYLE
from pipeline.quality.verdict import Verdict

__all__ = ["render"]

_MARKS = {Status.PASS: "✓", Status.WARN: "!", Status.FAIL: "✕", Status.SKIP: "–"}
_WORDS = {
    Status.PASS: "Every promise was kept",
    Status.WARN: "Good, with warnings",
    Status.FAIL: "Not good enough for readers",
}
_TOP = 12
# The page could not load or run anything even if some text had slipped through.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(verdict: Verdict, rejected: str) -> str:
    """The page; `rejected` names the file beside it that lists every rejected row."""
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8>",
            f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">',
            "<meta name=viewport content='width=device-width,initial-scale=1'>",
            f"<title>{verdict.status}: run {shown(verdict.run_id)}</title>",
            f"<style>{STYLE}</style></head><body><main>",
            _header(verdict),
            _first(verdict),
            _flow(verdict),
            _places(verdict),
            _checks(verdict),
            _drift(verdict),
            _quarantine(verdict, rejected),
            _footer(verdict),
            "</main></body></html>\n",
        )
    )


def _header(verdict: Verdict) -> str:
    since = (
        f"compared with <code>{shown(verdict.compared_with)}</code>"
        if verdict.compared_with
        else "compared with no earlier run"
    )
    return (
        "<header><p class=brand>Brewline · data quality</p>"
        f"<h1>{_mark(verdict.status)}{_WORDS[verdict.status]}</h1>"
        f"<p class=facts><span>run <code>{shown(verdict.run_id) or '–'}</code></span>"
        f"<span>{shown(verdict.judged_at)}</span><span>{since}</span></p></header>"
    )


def _first(verdict: Verdict) -> str:
    """What went wrong first, and what to do about it."""
    bad = [c for c in verdict.checks if c.status in (Status.FAIL, Status.WARN)]
    bad.sort(key=lambda check: check.status is not Status.FAIL)
    if not bad:
        return ""
    first = bad[0]
    others = "".join(f"<li>{shown(check.sentence)}</li>" for check in bad[1:6])
    more = f"<p class=soft>Also:</p><ul>{others}</ul>" if others else ""
    kind = "What failed first" if first.status is Status.FAIL else "What to look at first"
    cure = f"<p><b>Next:</b> {shown(first.cure, 400)}</p>" if first.cure else ""
    return (
        f"<section class='card first {first.status}'><p>{kind}</p>"
        f"<strong>{shown(first.sentence, 400)}</strong>{cure}{more}</section>"
    )


def _flow(verdict: Verdict) -> str:
    rows = verdict.bronze_rows
    parts = [
        ("silver", "silver", verdict.silver_rows),
        ("quarantine", "quarantine", verdict.quarantine_rows),
        ("duplicates", "duplicates", verdict.duplicate_rows),
    ]
    split = " + ".join(f"{number(count)} {name}" for name, _, count in parts)
    layers = (
        ("Bronze", [("bronze", "bronze", rows)], f"{number(verdict.bronze_pages)} pages", rows),
        ("Silver", parts, split, verdict.silver_rows),
        (
            "Gold",
            [("gold", "gold", verdict.breweries)],
            f"breweries counted, in {number(verdict.gold_rows)} rows of gold",
            verdict.breweries,
        ),
    )
    lines = "".join(
        f"<div><span>{name} <b>{number(count)}</b></span>"
        f"<span class=track>{stack(shares, rows)}</span><small>{text}</small></div>"
        for name, shares, text, count in layers
    )
    title = "<h2>Rows through the layers</h2>"
    return f"<section class=card>{title}<div class=flow>{lines}</div></section>"


def _places(verdict: Verdict) -> str:
    profile, whole = verdict.profile, verdict.silver_rows
    if not whole:
        return ""
    countries: Counter[str | None] = Counter()
    types: Counter[str | None] = Counter()
    for (country, _, kind), count in profile.counts.items():
        countries[country] += count
        types[kind] += count
    states = profile.partitions()
    tops = (
        ("Countries", len(countries), countries.most_common(_TOP)),
        ("States", len(states), [(state, n) for (_, state), n in states.most_common(_TOP)]),
        ("Types", len(types), types.most_common(_TOP)),
    )
    placed = sum(count for *_, count in profile.cells)
    charts = "".join(
        f"<section class=card><h2>{title} <span class=soft>{number(many)}</span></h2>"
        f"{bars(counts, whole)}</section>"
        for title, many, counts in tops
    )
    return (
        "<section class=card><h2>Where the breweries are "
        f"<span class=soft>{number(placed)} on the map, {percent(placed, whole)} of silver</span>"
        f"</h2>{world_map(profile.cells)}</section><div class=columns>{charts}</div>"
    )


def _checks(verdict: Verdict) -> str:
    groups = []
    for layer, grouped in groupby(verdict.checks, key=lambda check: check.layer):
        checks = list(grouped)
        status = worst(checks)
        is_open = " open" if status is not Status.PASS else ""
        kept = f"{sum(check.status is Status.PASS for check in checks)} of {len(checks)} kept"
        if all(check.status is Status.SKIP for check in checks):
            status, kept = Status.SKIP, "nothing to check"
        groups.append(
            f"<details{is_open}><summary>{_mark(status)}{shown(layer)}"
            f"<span class=soft>{kept}</span></summary>"
            f"{_check_table(checks)}</details>"
        )
    return f"<section class=card><h2>Checks</h2>{''.join(groups)}</section>"


def _check_table(checks: Iterable[Check]) -> str:
    rows = "".join(
        f"<tr><td>{_mark(check.status)}{shown(check.promise)}</td><td>{shown(check.found, 400)}"
        + (f"<br><span class=soft>Next: {shown(check.cure, 400)}</span>" if check.cure else "")
        + "</td></tr>"
        for check in checks
    )
    return f"<table class=fixed><tbody>{rows}</tbody></table>"


def _drift(verdict: Verdict) -> str:
    if not verdict.drifts:
        return ""
    rows = "".join(
        f"<tr{' class=unchanged' if drift.before == drift.now else ''}>"
        f"<td>{_mark(drift.status)}{shown(drift.measure)}</td>"
        f"<td class=n>{shown(drift.before)}</td><td class=n>{shown(drift.now)}</td>"
        f"<td>{shown(drift.change)}</td></tr>"
        for drift in verdict.drifts
    )
    return (
        "<section class=card><h2>Drift since the last good run "
        f"<span class=soft>{shown(verdict.compared_with)}</span></h2><div class=scroll><table>"
        "<thead><tr><th>Measure<th class=n>Then<th class=n>Now<th>Change</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _quarantine(verdict: Verdict, file: str) -> str:
    rejected, rows = verdict.rejected, verdict.quarantine_rows
    if not rows:
        return (
            "<section class=card><h2>Quarantine</h2>"
            "<p class=soft>Empty: no row was rejected.</p></section>"
        )
    reasons = "".join(
        f"<tr><td>{shown(reason)}</td><td class=n>{number(count)}</td>"
        f"<td>{', '.join(_id(name) for name in rejected.examples.get(reason, ()))}</td></tr>"
        for reason, count in rejected.reasons.most_common(40)
    )
    listed = "".join(
        f"<tr><td class=n>{page}</td><td class=n>{row}</td>"
        f"<td>{_id(name)}</td><td>{shown(reason)}</td></tr>"
        for page, row, name, reason in rejected.listed
    )
    return (
        "<section class=card><h2>Quarantine "
        f"<span class=soft>{number(rows)} rows, {percent(rows, verdict.bronze_rows)} of bronze"
        "</span></h2><div class=scroll><table><thead><tr><th>Reason<th class=n>Rows<th>Such as</tr>"
        f"</thead><tbody>{reasons}</tbody></table></div>"
        f"<details><summary>{'All' if len(rejected.listed) == rows else 'The first'} "
        f"{number(len(rejected.listed))} rows</summary><div class=scroll><table><thead><tr>"
        "<th class=n>Page<th class=n>Row<th>Id<th>Reason</tr></thead>"
        f"<tbody>{listed}</tbody></table></div></details>"
        f"<p>Every one with its reason: <a href='{shown(file)}' download>{shown(file)}</a>. "
        "The records as they came are in silver's <code>quarantine</code>.</p></section>"
    )


def _id(name: str | None) -> str:
    return f"<code><bdi>{shown(name, 60)}</bdi></code>" if name else "<em>no id</em>"


def _footer(verdict: Verdict) -> str:
    profile = verdict.profile
    return (
        f"<footer>Silver: {number(profile.files)} files, {profile.bytes / 2**20:.1f} MiB. "
        "Limits are the defaults of <code>pipeline.quality.limits</code>, or the lake's "
        "<code>limits.toml</code>.</footer>"
    )


def _mark(status: Status) -> str:
    return f"<span class='mark {status}' title={status}><b>{_MARKS[status]}</b></span>"
