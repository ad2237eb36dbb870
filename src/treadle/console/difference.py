"""How two versions differ, as tables: for ``diff``."""

from rich.table import Table

from treadle.registry.diff import Bounds, Difference, Fact, Metric, Value
from treadle.times import when

SHORT = 12
"""How much of a digest a person reads."""

DIGEST_LENGTHS = {32, 40, 64}

FEATURES = 10
"""How many importances are shown, those that changed most."""


def tables(difference: Difference) -> list[Table]:
    """Return a table per aspect; one in which nothing differs says so."""
    first, second = f"version {difference.first}", f"version {difference.second}"
    heads = ("", first, second)
    drawn = [
        _facts(f"{difference.model}: the data", heads, difference.data),
        _facts("parameters that differ", heads, difference.parameters, nothing="every parameter is the same"),
        _sentences("the interface", difference.interface or ("It is the same.",)),
        _metrics(difference, first, second),
        _facts("what it rests on, the largest changes", heads, difference.importances[:FEATURES], nothing="neither says"),
        _facts("parity and speed", heads, difference.costs),
    ]
    people = {version: told or ("Nobody yet.",) for version, told in difference.decided.items()}
    return drawn + [_sentences(f"who decided about version {version}", told) for version, told in people.items()]


def _facts(title: str, heads: tuple[str, str, str], facts: tuple[Fact, ...], nothing: str = "") -> Table:
    drawn = Table(title=title, title_justify="left")
    for head in (*heads, ""):
        drawn.add_column(head, overflow="fold")
    for fact in facts:
        drawn.add_row(fact.name, _shown(fact.name, fact.first), _shown(fact.name, fact.second), "same" if fact.same else "")
    if not facts:
        drawn.add_row(nothing, "", "", "")
    return drawn


def _metrics(difference: Difference, first: str, second: str) -> Table:
    rows = "the same held-out rows" if difference.same_holdout else "each on held-out rows of its own: only `treadle gate` compares fairly"
    drawn = Table(title=f"metrics, {rows}", title_justify="left")
    for head in ("metric", first, second, "better", "intervals"):
        drawn.add_column(head, justify="left" if head in {"metric", "better", "intervals"} else "right", overflow="fold")
    for metric in difference.metrics:
        cells = (_measured(metric.first, metric.first_interval), _measured(metric.second, metric.second_interval))
        drawn.add_row(metric.name, *cells, _better(metric, first, second), _overlap(metric))
    return drawn


def _better(metric: Metric, first: str, second: str) -> str:
    return "" if metric.better is None else first if metric.better == "first" else second


def _overlap(metric: Metric) -> str:
    return "" if metric.overlap is None else "overlap" if metric.overlap else "apart"


def _measured(value: float | None, interval: Bounds | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _sentences(title: str, told: tuple[str, ...]) -> Table:
    drawn = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
    drawn.add_column(overflow="fold")
    for sentence in told:
        drawn.add_row(sentence)
    return drawn


def _shown(name: str, value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "training cut":
        return when(float(value))
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text[:SHORT] if len(text) in DIGEST_LENGTHS and all(letter in "0123456789abcdef" for letter in text) else text
