"""The outcomes of checks as a table, and as one sentence."""

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from treadle.checking.outcome import Outcome, Status

STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


def table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """Return a row per outcome, with what to do under the reason."""
    drawn = Table(title=title, title_justify="left")
    for column in ("check", "", "what was found"):
        drawn.add_column(column, overflow="fold")
    for one in outcomes:
        found = f"{one.reason}\n→ {one.fix}" if one.fix else one.reason
        drawn.add_row(escape(one.name), f"[{STYLES[one.status]}]{one.status}[/]", escape(found))
    return drawn


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return how many checks went how."""
    counts = Counter(one.status for one in outcomes)
    return ", ".join(f"{counts[status]} {status}" for status in STYLES if counts[status]) + "."
