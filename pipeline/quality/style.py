"""How the verdict's page looks: one style sheet, for bright and dark screens, wide and narrow."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--page:#faf8f4;--card:#fff;--ink:#221d16;--soft:#6d6456;
--line:#e6dfd3;--amber:#d08a10;--pale:#f3e3c3;--pass:#1f7a4d;--warn:#a86200;--fail:#b3261e;--skip:#6d6456}
@media (prefers-color-scheme:dark){:root{--page:#17140f;--card:#211d17;--ink:#f0e9dd;--soft:#a99f8f;
--line:#383126;--amber:#e5a52f;--pale:#4a3a1c;--pass:#5cc48f;--warn:#eab04c;--fail:#ff8a80;
--skip:#a99f8f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;
overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:24px 20px 48px;display:grid;gap:20px}
main>*{min-width:0}
h1{font-size:clamp(1.6rem,4.5vw,2.3rem);line-height:1.2;margin:0;letter-spacing:-.02em}
h2{font-size:1.05rem;margin:0 0 12px}
p{margin:0}
.soft,.unchanged td{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px 20px}
header{display:grid;gap:8px;padding-top:8px}
.brand{font-weight:600;color:var(--amber);letter-spacing:.04em}
.facts{display:flex;flex-wrap:wrap;gap:2px 20px;color:var(--soft)}
.mark{display:inline-grid;place-items:center;width:1.5em;height:1.5em;border-radius:50%;flex:none;
font-weight:700;font-size:.85em;color:var(--card);background:currentColor}
.mark b{color:var(--card);font-size:.85em}
.pass{color:var(--pass)}.warn{color:var(--warn)}.fail{color:var(--fail)}.skip{color:var(--skip)}
h1 .mark{margin-right:.35em;vertical-align:.06em;font-size:.8em}
.first{border-left:5px solid currentColor;display:grid;gap:6px}
.first *{color:var(--ink)}
.first strong{font-size:1.05rem}
.flow{display:grid;gap:10px}
.flow div{display:grid;grid-template-columns:8.5em 1fr;gap:2px 14px;align-items:center}
.flow .track{display:flex;height:26px;border-radius:7px;overflow:hidden;background:var(--line)}
.flow .track i{min-width:3px}
.flow small{grid-column:2;color:var(--soft);font-size:.88em}
.flow b{font-weight:600}
.bronze{background:#b0703a}.silver{background:#93a1ad}.gold{background:#d9a514}
.quarantine{background:var(--fail)}.duplicates{background:var(--skip)}
.map{display:block;width:100%;height:auto}
.graticule,.equator{fill:none;stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.equator{stroke:var(--soft);stroke-opacity:.5}
.dots{fill:none;stroke:var(--amber);stroke-linecap:round;stroke-opacity:.75}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:20px}
.columns>*{min-width:0}
.bars{list-style:none;margin:0;padding:0;display:grid;gap:7px}
.bars li{display:grid;grid-template-columns:1fr auto 4em;gap:1px 8px;font-size:.92em}
.bar{grid-column:1/-1;background:var(--pale);border-radius:3px;height:6px;overflow:hidden}
.bar i{display:block;height:100%;min-width:2px;background:var(--amber);border-radius:3px}
.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92em}
th{font-weight:600;text-align:left;color:var(--soft);font-size:.88em}
th,td{padding:6px 12px 6px 0;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0}
td:first-child .mark{margin-right:.5em}
details{border-top:1px solid var(--line)}
details:first-of-type{border-top:0}
summary{cursor:pointer;padding:8px 0;font-weight:600;display:flex;gap:10px;align-items:center}
summary::-webkit-details-marker{display:none}
summary::after{content:"▸";margin-left:auto;color:var(--soft)}
details[open]>summary::after{content:"▾"}
summary .soft{font-weight:400}
details table{margin-bottom:12px}.fixed{table-layout:fixed}.fixed td:first-child{width:36%}
ul{margin:0;padding-left:1.3em}
h2 .soft{font-weight:400;font-size:.92em;margin-left:.4em}
code{font:0.92em ui-monospace,monospace}
a{color:var(--amber)}
footer{color:var(--soft);font-size:.88em}
@media (max-width:560px){main{padding:14px 12px 32px;gap:14px}.card{padding:14px}
.flow div{grid-template-columns:1fr}.flow small{grid-column:1}
}
"""
