"""From the figures of the rounds to what is told: medians, spread, ratios, tables. Nothing here measures."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ECHO, OURS, NAIVE = "fastapi-echo", "treadle", "naive"
NOTHING = "-"
BESIDE = "_beside"
"""End of the name of a figure of the yardstick, measured just before and after the one that has the rest of the name."""


@dataclass(frozen=True)
class Spread:
    """Some values: their median, the least and the greatest."""

    median: float
    least: float
    greatest: float

    def text(self, form: Callable[[float], str]) -> str:
        """Return the median, with the range behind it where it can be told from the median."""
        told, least, greatest = form(self.median), form(self.least), form(self.greatest)
        return told if least == greatest else f"{told} ({least} to {greatest})"


def spread(values: Iterable[float]) -> Spread | None:
    """Return median and range; None where there is no value."""
    known = sorted(values)
    return Spread(statistics.median(known), known[0], known[-1]) if known else None


@dataclass
class Row:
    """What is known of one contender: the figures of each round by the round's number, or why there are none."""

    name: str
    title: str
    family: str
    version: str = ""
    rounds: dict[int, dict[str, float]] = field(default_factory=dict)
    failed: str = ""

    def values(self, figure: str) -> dict[int, float]:
        """Return a figure by round, where it was measured."""
        return {number: figures[figure] for number, figures in self.rounds.items() if figure in figures}

    def spread(self, figure: str) -> Spread | None:
        """Return median and range of a figure over the rounds."""
        return spread(self.values(figure).values())


def ratio(row: Row, other: Row, figure: str, theirs_by: str = "") -> Spread | None:
    """Return a figure as a multiple of another contender's (of its figure ``theirs_by``, if that is another one), round by round.

    Where the yardstick was asked beside both, each is held against that first; where the other is the yardstick, that is all. So what
    drifts from round to round, or within one, is not in it.
    """
    mine, theirs = _relative(row, figure), _relative(other, theirs_by or figure)
    if other.name == ECHO and row.values(figure + BESIDE):
        return spread(mine.values())
    if bool(row.values(figure + BESIDE)) != bool(other.values((theirs_by or figure) + BESIDE)):
        mine, theirs = row.values(figure), other.values(theirs_by or figure)
    return spread(mine[number] / theirs[number] for number in mine.keys() & theirs.keys() if theirs[number])


def _relative(row: Row, figure: str) -> dict[int, float]:
    """Return a figure by round, as a multiple of the yardstick beside it where that was asked."""
    beside = row.values(figure + BESIDE)
    return {number: value / beside.get(number, 1.0) for number, value in row.values(figure).items()}


def fastest(rows: Iterable[Row], figure: str) -> Row | None:
    """Return the row with the greatest median of a figure."""
    known = [(found.median, row) for row in rows if (found := row.spread(figure)) is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def whole(value: float) -> str:
    """Return a number without a decimal."""
    return f"{value:,.0f}"


def times(value: float) -> str:
    """Return a ratio with three digits or so, and not more."""
    return f"{value:.3f}" if value < 0.1 else _short(value)


def milliseconds(value: float) -> str:
    """Return seconds in milliseconds."""
    return f"{1000 * value:.3f}" if value < 0.001 else _short(1000 * value)


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return seconds with a decimal or two."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _cell(found: Spread | None, form: Callable[[float], str]) -> str:
    return NOTHING if found is None else found.text(form)


def grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table of Markdown, with what is right of the first column set to the right."""
    return [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1), *(f"| {' | '.join(line)} |" for line in lines)]


def table(rows: Mapping[str, Row]) -> str:
    """Return the figures as Markdown: one row at many and at one client, batches, start and memory; then who is missing, and why."""
    measured, echo = [row for row in rows.values() if row.rounds], rows.get(ECHO)
    single = [
        (
            row.title,
            _cell(row.spread("many_rate"), whole),
            _cell(ratio(row, echo, "many_rate") if echo else None, times),
            _cell(row.spread("many_p50"), milliseconds),
            _cell(row.spread("many_p99"), milliseconds),
            _cell(row.spread("single_rate"), whole),
            _cell(row.spread("single_p50"), milliseconds),
            _cell(row.spread("single_p99"), milliseconds),
            _cell(ratio(row, echo, "single_p50") if echo else None, times),
        )
        for row in measured
    ]
    rest = [
        (
            row.title,
            _cell(row.spread("rows"), whole),
            _cell(ratio(row, echo, "rows") if echo else None, times),
            _cell(row.spread("tensors"), whole),
            _cell(row.spread("start"), seconds),
            _cell(row.spread("memory"), whole),
        )
        for row in measured
    ]
    head = ("one row", "16 clients: req/s", "x echo", "p50 ms", "p99 ms", "1 client: req/s", "p50 ms", "p99 ms", "p50 x echo")
    lines = [
        *grid(head, single),
        "",
        *grid(("batches of 1,000 rows, start, memory", "rows/s", "x echo", "binary: rows/s", "first good answer s", "memory MiB"), rest),
    ]
    missing = [f"- {row.title}: {row.failed}" for row in rows.values() if row.failed]
    return "\n".join([*lines, *(["", "Not measured, or not in every round:", "", *missing] if missing else [])])


@dataclass(frozen=True)
class Target:
    """Something that was set out to be reached: a ratio of ours to another's.

    ``most``: it is an upper bound. ``theirs``: the other's figure, where it is not the same one.
    """

    text: str
    figure: str
    against: str
    target: float
    floor: float | None = None
    most: bool = False
    theirs: str = ""

    def verdict(self, value: float) -> str:
        """Say what a ratio means for it."""
        if value <= self.target if self.most else value >= self.target:
            return "target"
        if self.floor is None:
            return "missed"
        return "floor" if value >= self.floor else "below the floor"


TARGETS = (
    Target("one row, 16 clients: x FastAPI echo", "many_rate", ECHO, 1.8, floor=1.4),
    Target("one row, 16 clients: x fastest peer with the same ONNX model", "many_rate", "graph", 6, floor=4),
    Target("one row, 16 clients: x FastAPI + scikit-learn", "many_rate", NAIVE, 100),
    Target("16 clients: p99, x the echo's", "many_p99", ECHO, 1, most=True),
    Target("1 client: p50, x the echo's", "single_p50", ECHO, 1.1, most=True),
    Target("batches of 1,000 rows as JSON: x fastest peer", "rows", "peers", 2),
    Target("batches of 1,000 rows as binary tensors: x fastest peer", "tensors", "peers", 4, theirs="rows"),
)


def targets(rows: Mapping[str, Row]) -> str:
    """Return how ours did against each target, as Markdown; what was not measured is left out."""
    ours = rows.get(OURS)
    lines = []
    for one in TARGETS if ours is not None and ours.rounds else ():
        other = _opponent(rows, one)
        found = ratio(ours, other, one.figure, one.theirs) if ours is not None and other is not None else None
        if other is None or found is None:
            continue
        limit = f"{'≤' if one.most else '≥'} {one.target:g}" + (f" (floor {one.floor:g})" if one.floor is not None else "")
        who = f" ({other.title})" if one.against in {"graph", "peers"} else ""
        lines.append((f"{one.text}{who}", limit, found.text(times), one.verdict(found.median)))
    return "\n".join(grid(("Treadle", "wanted", "measured", "reached"), lines)) if lines else ""


def _opponent(rows: Mapping[str, Row], target: Target) -> Row | None:
    families = {"graph": {"graph"}, "peers": {"graph", "guide"}}.get(target.against)
    if families is None:
        return rows.get(target.against)
    return fastest([row for row in rows.values() if row.family in families], target.theirs or target.figure)


def missed(rows: Mapping[str, Row]) -> list[str]:
    """Return the floors that ours is below."""
    return [line for line in targets(rows).splitlines() if line.endswith("| below the floor |")]


def waiting(rows: Mapping[str, Row]) -> list[str]:
    """Return how much of the traffic waited in the spool, a line per contender that has one."""
    known = [(row, found) for row in rows.values() if (found := row.spread("many_waiting")) is not None]
    return [f"- {row.title}: at 16 clients {found.text(seconds)} s of traffic waited in the spool" for row, found in known]
