"""From a table to assumptions: which part each column has, and why. Pure: a DataFrame in, sentences out.

Nothing here is certain. Every guess carries its reason, so that a person can see at a glance where it is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pandas import DataFrame, Series

from treadle.drafting import leaks, names, texts
from treadle.drafting.asked import Asked
from treadle.drafting.features import feature
from treadle.drafting.goal import Goal, aim, require_one
from treadle.drafting.sights import Sight, is_text, see, written
from treadle.errors import NothingToLearnFrom
from treadle.spec import Feature

Treatment = Literal["target", "feature", "entity", "time", "left out"]
SplitBy = Literal["random", "time", "entity"]

ALMOST_ALL = 0.95
"""An id has another value in at least this share of the rows."""
OFTEN = 20
"""An id whose values stand in so many rows each is a category."""
TIMES = 60
"""A time of the row must have so many different values, to split by."""


@dataclass(frozen=True, eq=False)
class Column:
    """What becomes of a column: its treatment, why, and what a person should look at. ``sight`` holds how it is read."""

    sight: Sight
    treatment: Treatment
    why: str
    feature: Feature | None = None
    warning: str = ""
    other: str = ""

    @property
    def raw(self) -> str:
        """The name in the table."""
        return self.sight.raw

    @property
    def name(self) -> str:
        """The name in the contract."""
        return self.sight.name


@dataclass(frozen=True, eq=False)
class Assumptions:
    """Everything that was assumed of a table.

    ``decimal`` is the decimal mark, ``nothing`` the texts that count as missing, ``padded`` whether texts have spaces around them,
    ``rows`` how many rows are left to learn from. ``notes`` are sentences about the whole.
    """

    goal: Goal
    columns: tuple[Column, ...]
    rows: int
    decimal: str
    nothing: tuple[str, ...]
    padded: bool
    split: SplitBy
    notes: tuple[str, ...]

    def of(self, treatment: Treatment) -> list[Column]:
        """Return the columns with a treatment."""
        return [column for column in self.columns if column.treatment == treatment]

    @property
    def entity(self) -> Column | None:
        """The column that names whom a row is about."""
        return next(iter(self.of("entity")), None)

    @property
    def time(self) -> Column | None:
        """The column with the time of a row."""
        return next(iter(self.of("time")), None)


def guess(frame: DataFrame, asked: Asked, targets: Sequence[str], *, guess_target: bool = False) -> Assumptions:
    """Return what is assumed of a table.

    Args:
        frame: the table as ``look`` found it.
        asked: the command, for what an error tells to type next.
        targets: the columns that were named as the target; one, if all is well.
        guess_target: whether the target may be guessed if none is named.

    Raises:
        TargetNotNamed, TwoTargets, TargetNotFound, TargetUnusable: the target is not clear, or cannot be learnt.
        TooFewRows: there are too few rows with a target.
        NothingToLearnFrom: no column is left as a feature.
    """
    target, guessed = require_one(targets, list(frame.columns), asked, guess=guess_target)
    asked = replace(asked, target=target)
    textual = [written(frame[name]) for name in frame if is_text(frame[name])]
    decimal = texts.decimal_of(textual)
    renamed = dict(zip(frame.columns, names.allowed(list(frame.columns)), strict=True))
    sights = {sight.raw: sight for sight in see(frame, renamed, decimal)}
    goal, answers = aim(sights.pop(target), asked)
    rows = answers.notna()
    columns = _columns([sight.at(rows) for sight in sights.values()], answers[rows], goal)
    if not any(column.feature for column in columns):
        raise NothingToLearnFrom([f"{column.raw}: {column.why}" for column in columns], asked.command(target=target))
    split, split_note = _split(columns)
    return Assumptions(
        goal,
        columns,
        int(rows.sum()),
        decimal,
        _said_nothing(frame, textual),
        _is_padded(frame),
        split,
        tuple(note for note in (_guessed(target, guessed), *_about_goal(goal), split_note, *_about_dates(columns, decimal)) if note),
    )


def _columns(sights: Sequence[Sight], answers: "Series[Any]", goal: Goal) -> tuple[Column, ...]:
    whom = _entity(sights)
    when = _time(sights)
    return tuple(_column(sight, answers, goal, whom=sight is whom, when=sight is when) for sight in sights)


def _column(sight: Sight, answers: "Series[Any]", goal: Goal, *, whom: bool, when: bool) -> Column:
    useless = _useless(sight)
    if useless:
        found, how = leaks.filled_in(sight, answers, classes=goal.task != "regression")
        return Column(sight, "left out", useless, warning=f"It leaks the target: {how}." if found else "")
    if when:
        return Column(sight, "time", f"the time of the row, {_span(sight)}")
    if whom:
        repeated = sight.different < len(sight.cells) - sight.missing
        return Column(sight, "entity", f"{sight.different:,} different ids" + (", some in several rows" if repeated else ", one per row"))
    return _feature(sight, answers, goal)


def _useless(sight: Sight) -> str:
    """Return why nothing can be learnt from a column, whatever it means."""
    if sight.kind == "constant":
        return f"{'it is empty or' if sight.missing else 'every row has the same value,'} {_first(sight)!r}"
    return {"empty": "it is empty", "nested": "it holds lists, records or bytes"}.get(sight.kind, "")


def _feature(sight: Sight, answers: "Series[Any]", goal: Goal) -> Column:
    if _is_id(sight):
        return Column(sight, "left out", "it numbers the rows" if names.is_counter(sight.raw) else "an id: a new one in almost every row")
    found, how = leaks.leak(sight, answers, classes=goal.task != "regression")
    if found == "exact":
        return Column(sight, "left out", how, warning=f"It leaks the target: {how}.")
    made, why, other = feature(sight)
    warning = " ".join(filter(None, [f"It may leak the target: {how}." if found else "", _personal(sight, kept=made is not None)]))
    return Column(sight, "feature" if made else "left out", why, made, warning, other)


def _entity(sights: Sequence[Sight]) -> Sight | None:
    """Return the column that says whom a row is about: an id, best of a person or thing, better repeated than unique."""
    ids = [sight for sight in sights if sight.kind in {"text", "number"} and _could_name(sight)]
    if not ids:
        return None
    return max(ids, key=lambda sight: (names.names_whom(sight.raw), sight.different < len(sight.cells), -sights.index(sight)))


def _could_name(sight: Sight) -> bool:
    known = len(sight.cells) - sight.missing
    if (
        not names.is_id(sight.raw)
        or names.is_counter(sight.raw)
        or names.sensitive(sight.raw)
        or (sight.kind == "number" and not sight.whole)
    ):
        return False
    return sight.different > OFTEN and sight.different * OFTEN > known


def _is_id(sight: Sight) -> bool:
    """Tell whether a column that is no entity only numbers or names the rows."""
    known = sight.cells.dropna()
    unique = sight.different >= ALMOST_ALL * len(known)
    if sight.kind == "number" and sight.whole:
        counts_up = len(known) > 2 and bool((known.diff().dropna() == 1).all())
        return counts_up or (unique and (names.is_id(sight.raw) or names.is_counter(sight.raw)))
    return sight.kind == "text" and unique and names.is_id(sight.raw)


def _time(sights: Sequence[Sight]) -> Sight | None:
    """Return the date that is the row's own: never missing, with enough different days, and called so or with a clock."""
    dates = [sight for sight in sights if sight.kind == "date" and not sight.missing and sight.different >= TIMES]
    scored = [(names.own_time(sight.raw) + _has_clock(sight), sight) for sight in dates if names.own_time(sight.raw)]
    best = max(scored, key=lambda item: item[0], default=(0, None))
    return best[1] if best[0] >= 2 else None


def _has_clock(sight: Sight) -> bool:
    return bool((sight.cells.dropna().dt.normalize() != sight.cells.dropna()).any())


def _split(columns: Sequence[Column]) -> tuple[SplitBy, str]:
    by_treatment = {column.treatment: column for column in columns}
    if "time" in by_treatment:
        return "time", f"The latest rows by {by_treatment['time'].name} are held out, as the model will answer for days to come."
    if "entity" in by_treatment:
        return "entity", f"Rows of one {by_treatment['entity'].name} stand together in training or holdout, never in both."
    return "random", ""


def _about_goal(goal: Goal) -> list[str]:
    notes = []
    if goal.unlabelled:
        notes.append(f"{goal.unlabelled:,} rows have no {goal.raw}; load() leaves them out.")
    if goal.rare:
        notes.append(
            f"The {'class' if len(goal.rare) == 1 else 'classes'} {', '.join(map(repr, goal.rare))} of {goal.raw} "
            f"have too few rows to split ({goal.rare_rows}); load() leaves them out."
        )
    if goal.imbalanced:
        notes.append(
            f"Only {goal.share:.1%} of the rows are of the rarer class, so versions are compared by average_precision: "
            "accuracy would look good for a model that finds nobody."
        )
    return notes


def _about_dates(columns: Sequence[Column], decimal: str) -> list[str]:
    unclear = [column.raw for column in columns if {"%d/%m/%Y", "%m/%d/%Y"} <= {form[:8] for form in column.sight.forms}]
    first = "the day" if decimal == "," else "the month"
    return [f"In {', '.join(unclear)} no date shows whether the day or the month comes first; {first} is assumed."] if unclear else []


def _guessed(target: str, why: str) -> str:
    return f"The target was guessed to be {target!r}: {why}." if why else ""


def _personal(sight: Sight, *, kept: bool) -> str:
    what = names.sensitive(sight.raw) or _personal_values(sight)
    if not what or (sight.kind == "boolean" and "number" in what):
        return ""
    return f"By its name or values it tells {what}: " + ("decide whether a model may know it." if kept else "nothing of it is kept.")


def _personal_values(sight: Sight) -> str:
    if sight.kind != "text":
        return ""
    sample = sight.cells.dropna().head(200).astype(str)
    if sample.str.fullmatch(r"[^@\s]+@[^@\s]+\.\w+").mean() > 0.5:
        return "an e-mail address"
    return "a telephone number" if sample.str.fullmatch(r"(\+|00)\d[\d /()-]{6,}").mean() > 0.5 else ""


def _said_nothing(frame: DataFrame, textual: Sequence["Series[str]"]) -> tuple[str, ...]:
    """Return the texts, as they stand in the table, that count as missing."""
    raw = (frame[name] for name in frame if is_text(frame[name]))
    found: set[str] = set()
    for column, shown in zip(raw, textual, strict=True):
        found |= set(column[texts.nothing(shown)].dropna().unique())
    return tuple(sorted(found))


def _is_padded(frame: DataFrame) -> bool:
    for name in frame:
        if is_text(frame[name]):
            shown = frame[name].dropna().astype(str)
            shown = shown[~texts.nothing(shown)]
            if (shown != shown.str.strip()).any():
                return True
    return False


def _first(sight: Sight) -> str:
    return str(sight.written[sight.cells.notna()].iloc[0])


def _span(sight: Sight) -> str:
    known = sight.cells.dropna()
    return f"{known.min():%Y-%m-%d} to {known.max():%Y-%m-%d}"
