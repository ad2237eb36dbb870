"""The report as one page of HTML: nothing is fetched from anywhere, it is readable by day, by night and on paper."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from treadle.data.validation.findings import Asked, Bar, Column, Finding, Report

STYLE = Path(__file__).with_name("page.css")

WIDTH, HEIGHT = 132, 26
"""Of a histogram, in pixels."""

WHAT = {
    "columns": "a column that the contract does not name",
    "missing": "missing values where they are allowed",
    "range": "numbers and dates outside min and max",
    "categories": "texts that are not among the categories",
    "outliers": "values far from all others",
    "constant": "features that tell rows hardly apart",
    "duplicates": "rows that repeat an earlier one",
    "contradictions": "equal rows with different targets",
    "entity": "rows that do not say whom they are about",
    "correlation": "features that say the same",
    "leak": "features that give the target away",
    "freshness": "the age of the newest row",
    "contract": "columns, types and target",
}


@dataclass(frozen=True)
class About:
    """Which rows a report is about.

    ``source`` says where they came from, ``at`` (epoch seconds) when they were checked; ``snapshot`` is the digest of the snapshot, if
    they are one, ``policy`` that of the policy.
    """

    model: str
    source: str
    at: float
    snapshot: str = ""
    policy: str = ""

    @property
    def moment(self) -> str:
        """When the rows were checked, for people."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M} UTC"


def page(report: Report, about: About) -> str:
    """Return the report as HTML."""
    title = escape(f"{about.model}: the data")
    body = [
        f"<h1>{title} {_verdict(report)}</h1>",
        f'<p class="quiet">{escape(about.source)} · {about.moment}{_snapshot(about)}</p>',
        _tiles(report),
        "<h2>What was found</h2>",
        _overview(report),
        *(_finding(number, finding) for number, finding in enumerate(report.findings, 1)),
        "<h2>Columns</h2>",
        _columns(report.columns, report.rows),
        "<h2>What was asked</h2>",
        _asked(report.asked),
        _footer(about),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>\n{STYLE.read_text(encoding="utf-8")}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _verdict(report: Report) -> str:
    if not report.passed:
        return '<span class="pill error">refused</span>'
    return '<span class="pill warning">passes, with warnings</span>' if report.warnings else '<span class="pill good">passes</span>'


def _footer(about: About) -> str:
    digest = f", digest {escape(about.policy[:12])}" if about.policy else ""
    made = f"Written by <code>treadle validate {escape(about.model)}</code>."
    return f'<footer class="quiet">{made} Limits and severities stand in <code>policy.data</code> of model.yaml{digest}.</footer>'


def _snapshot(about: About) -> str:
    return f" · snapshot <code>{escape(about.snapshot[:12])}</code>" if about.snapshot else ""


def _tiles(report: Report) -> str:
    facts = [
        (report.rows, "rows"),
        (len(report.columns), "columns"),
        (len(report.problems), "errors"),
        (len(report.warnings), "warnings"),
    ]
    return '<div class="tiles">' + "".join(f'<div class="tile"><b>{count:,}</b>{what}</div>' for count, what in facts) + "</div>"


def _overview(report: Report) -> str:
    if not report.findings:
        return "<p>Nothing. The rows keep the contract, and every check of the policy.</p>"
    said = "Nothing is trained on these rows until the errors are gone." if report.problems else "The rows may be trained on."
    lines = [
        f'<li><a href="#f{number}">{escape(_where(finding))}: {escape(finding.title)}</a>, {_pill(finding.severity)}</li>'
        for number, finding in enumerate(report.findings, 1)
    ]
    return f"<p>{said}</p><ol>{''.join(lines)}</ol>"


def _finding(number: int, finding: Finding) -> str:
    facts = [
        ("rows", f"{finding.count:,}, {finding.share:.2%} of all" if finding.rows else ""),
        ("first ones", ", ".join(map(str, finding.rows)) if finding.rows else ""),
        ("such as", "; ".join(finding.values)),
        ("what to do", finding.advice),
    ]
    told = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts if value)
    edit = f"<pre>{escape(finding.edit.strip())}</pre>" if finding.edit else ""
    head = f"<h3>{_pill(finding.severity)}{escape(_where(finding))}: {escape(finding.title)}</h3>"
    return (
        f'<section class="card is-{finding.severity}" id="f{number}">{head}<p>{escape(finding.message)}</p><dl>{told}</dl>{edit}</section>'
    )


def _where(finding: Finding) -> str:
    return "whole rows" if finding.column == "*" else finding.column


def _pill(severity: str) -> str:
    return f'<span class="pill {severity}">{severity}</span>'


def _columns(columns: Iterable[Column], rows: int) -> str:
    head = "<th>column</th><th>is</th><th>type</th><th class=number>missing</th><th class=number>different</th><th>spread</th>"
    head += "<th>range, or most frequent</th><th class=number>tells target</th>"
    body = "".join(_column(column, rows) for column in columns)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _column(column: Column, rows: int) -> str:
    cells = [
        f'<td class="name"><code>{escape(column.name)}</code></td>',
        f"<td>{escape(column.part) or '<span class=quiet>not named</span>'}</td>",
        f"<td>{escape(column.type)}</td>",
        f'<td class="number">{_share(column.missing)}</td>',
        f'<td class="number">{column.distinct:,}</td>',
        f"<td>{histogram(column.bars, rows)}</td>",
        f"<td>{escape(' · '.join(column.spread)) if column.spread else escape(_most(column.bars))}</td>",
        f'<td class="number">{"" if column.score is None else f"{column.score:.2f}"}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _share(share: float) -> str:
    return "0" if share == 0 else "&lt; 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def _most(bars: tuple[Bar, ...]) -> str:
    """Return the commonest values of a column of texts."""
    return " · ".join(bar.label if len(bar.label) < 24 else f"{bar.label[:21]}…" for bar in bars[:3])


def histogram(bars: tuple[Bar, ...], rows: int) -> str:
    """Return a small histogram as SVG; each bar says what it is when it is pointed at."""
    if not bars:
        return '<span class="quiet">nearly all different</span>' if rows else ""
    highest = max(bar.count for bar in bars) or 1
    width = min(WIDTH / len(bars), 18.0)
    drawn = "".join(_bar(bar, index * width, width, highest) for index, bar in enumerate(bars))
    return f'<svg role="img" aria-label="histogram" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{drawn}</svg>'


def _bar(bar: Bar, left: float, width: float, highest: int) -> str:
    height = max(bar.count / highest * HEIGHT, 1.0 if bar.count else 0.0)
    box = f'x="{left:.1f}" y="{HEIGHT - height:.1f}" width="{max(width - 1, 1):.1f}" height="{height:.1f}"'
    return f"<rect {box}><title>{escape(bar.label)}: {bar.count:,}</title></rect>"


def _asked(asked: Iterable[Asked]) -> str:
    body = "".join(
        f'<tr><td class="name"><code>{escape(one.check)}</code></td><td>{escape(WHAT.get(one.check, "a rule over several columns"))}</td>'
        f'<td class="number">{escape(one.limit)}</td><td>{_pill(one.severity)}</td><td class="number">{one.findings or ""}</td></tr>'
        for one in asked
    )
    head = "<th>check</th><th>what</th><th class=number>limit</th><th>if passed</th><th class=number>findings</th>"
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
