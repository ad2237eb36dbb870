"""What is to be predicted: the task, the classes, and what a good model is measured by. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd
from pandas import Series

from treadle.drafting import texts
from treadle.drafting.asked import Asked
from treadle.drafting.names import likely_target
from treadle.drafting.sights import Sight
from treadle.errors import TargetNotFound, TargetNotNamed, TargetUnusable, TooFewRows, TwoTargets
from treadle.spec import Task

MOST_CLASSES = 50
MOST_NUMERIC_CLASSES = 10
"""A target of whole numbers with no more different values than this has classes, and is a quantity beyond."""
CLASS_ROWS = 10
"""A class needs so many rows, to be held out, folded and learnt."""
FEWEST_ROWS = 30
"""A table needs so many rows."""
IMBALANCED = 0.2
"""Below this share of the rarer class the order among the few counts more than that among all."""

_POSITIVE = {true for true, _ in texts.TRUTHS} | {
    *(
        "1",
        "positive",
        "pos",
        "bad",
        "default",
        "fraud",
        "spam",
        "churned",
        "left",
        "sick",
        "failed",
        "failure",
        "defect",
        "lost",
        "cancelled",
    )
}


@dataclass(frozen=True)
class Goal:
    """The target: its column, the task, and how its values become classes.

    ``classes`` are in the order of the contract, ``mapping`` gives the class of each value of the table where that is not the text
    itself, ``numerals`` is how a quantity is written. ``rare`` are classes with too few rows, which are left out, as are the
    ``unlabelled`` rows. ``share`` is that of the rarest class, ``spread`` the standard deviation of a quantity.
    """

    raw: str
    name: str
    task: Task
    why: str
    classes: tuple[str, ...] = ()
    positive: str | None = None
    positive_why: str = ""
    mapping: Mapping[Any, str] | None = None
    rare: tuple[str, ...] = ()
    rare_rows: int = 0
    unlabelled: int = 0
    numerals: texts.Numerals | None = None
    share: float = 0.0
    spread: float = 0.0

    @property
    def imbalanced(self) -> bool:
        """Whether one of two classes is rare."""
        return self.task == "binary" and self.share < IMBALANCED

    @property
    def metric(self) -> str:
        """The metric by which versions are compared."""
        if self.task == "binary":
            return "average_precision" if self.imbalanced else "roc_auc"
        return "f1_macro" if self.task == "multiclass" else "rmse"


def require_one(targets: Sequence[str], columns: Sequence[str], asked: Asked, *, guess: bool) -> tuple[str, str]:
    """Return the column to predict and, if it was guessed, why.

    Raises:
        TwoTargets: several were named.
        TargetNotNamed: none was, and it is not to be guessed.
        TargetNotFound: there is no such column.
    """
    if len(targets) == 1 and targets[0] not in columns:
        parts = [part.strip() for part in targets[0].split(",")]
        targets = parts if len(parts) > 1 and all(part in columns for part in parts) else targets
    if len(targets) > 1:
        raise TwoTargets(targets, [asked.command(name=f"{asked.name}_{number}", target=one) for number, one in enumerate(targets, start=1)])
    likely = likely_target(columns)
    if not targets:
        if guess:
            return likely
        command = asked.command(target=likely[0])
        raise TargetNotNamed(columns, command, asked.command().replace("--target COLUMN", "--guess-target"))
    target = targets[0]
    if target not in columns:
        near = next((name for name in columns if name.strip().casefold() == target.strip().casefold()), None)
        raise TargetNotFound(target, [near] if near else columns, asked.command(target=near or _near(target, columns) or likely[0]))
    return target, ""


def _near(target: str, columns: Sequence[str]) -> str | None:

    return next(iter(get_close_matches(target, columns, n=1)), None)


def aim(sight: Sight, asked: Asked) -> "tuple[Goal, Series[Any]]":
    """Return the goal, and the target of each row: a class or a number, NA for rows that are left out.

    Raises:
        TargetUnusable: no model can learn this column.
        TooFewRows: there are too few rows with a target.
    """
    _require_rows(int(sight.cells.notna().sum()), asked)
    if sight.kind in {"empty", "constant", "date", "nested"}:
        reason = {"constant": "every row has the same value", "date": "it holds dates", "nested": "it holds lists or records"}
        raise TargetUnusable(sight.raw, reason.get(sight.kind, "it is empty"), _another(asked))
    if sight.kind == "number" and not _has_classes(sight):
        return _quantity(sight, asked)
    return _classes(sight, asked)


def _has_classes(sight: Sight) -> bool:
    if sight.stray or sight.different > MOST_NUMERIC_CLASSES or not (sight.cells.dropna() % 1 == 0).all():
        return False
    return sight.different == 2 or bool(sight.cells.value_counts().min() >= CLASS_ROWS)


def _quantity(sight: Sight, asked: Asked) -> "tuple[Goal, Series[Any]]":
    if sight.stray:
        rows = int(sight.written.isin(sight.stray).sum())
        reason = f"{rows} of {len(sight.cells)} values are no numbers, such as {', '.join(map(repr, sight.stray[:3]))}"
        raise TargetUnusable(
            sight.raw, reason, f"Mend them in the file (leave the cell empty if there is none), then type `{asked.command()}`"
        )
    known = sight.cells.dropna()
    why = f"{sight.different:,} different numbers from {known.min():g} to {known.max():g}"
    return Goal(
        sight.raw, sight.name, "regression", why, unlabelled=sight.missing, numerals=sight.numerals, spread=float(known.std())
    ), sight.cells


def _classes(sight: Sight, asked: Asked) -> "tuple[Goal, Series[Any]]":
    mapping = _mapping(sight)
    values = sight.written.where(sight.cells.notna()) if sight.text else sight.cells
    named = values.map(mapping).astype(object)
    counts = {str(name): int(rows) for name, rows in named.value_counts().items()}
    known = sum(counts.values())
    if len(counts) > MOST_CLASSES or len(counts) > known / 2:
        reason = f"it has {len(counts):,} different texts in {known:,} rows, which are no classes"
        raise TargetUnusable(sight.raw, reason, _another(asked))
    rare = tuple(sorted(name for name, rows in counts.items() if rows < CLASS_ROWS))
    kept = sorted((name for name in counts if name not in rare), key=_in_order)
    if len(kept) < 2:
        reason = f"of its classes only {len(kept)} has {CLASS_ROWS} rows or more ({_counted(counts)})"
        raise TargetUnusable(sight.raw, reason, f"Bring more rows of the others, then type `{asked.command()}`")
    positive, positive_why = _positive(kept, counts) if len(kept) == 2 else (None, "")
    if positive is not None:
        kept = [*(name for name in kept if name != positive), positive]
    share = min(counts[name] for name in kept) / sum(counts[name] for name in kept)
    goal = Goal(
        sight.raw,
        sight.name,
        "binary" if len(kept) == 2 else "multiclass",
        f"{len(kept)} different values: {_counted({name: counts[name] for name in kept})}",
        tuple(kept),
        positive,
        positive_why,
        None if sight.text and all(raw == name for raw, name in mapping.items()) else mapping,
        rare,
        sum(counts[name] for name in rare),
        sight.missing,
        share=share,
    )
    return goal, named.where(~named.isin(rare))


def _mapping(sight: Sight) -> dict[Any, str]:
    """Return the class of each value. Spellings that differ in capitals only are one class; whole numbers lose their decimals."""
    if sight.kind == "boolean" and not sight.text:
        return {False: "false", True: "true"}
    if sight.kind == "number":
        of_value = {value: f"{value:g}" for value in sight.cells.dropna().unique()}
        if not sight.text:
            return {(int(value) if value % 1 == 0 else value): name for value, name in of_value.items()}
        pairs = zip(sight.written, sight.cells, strict=True)
        return {text: of_value[value] for text, value in pairs if not pd.isna(value)}
    counts = sight.written[sight.cells.notna()].value_counts()
    spelling: dict[str, str] = {}
    for text in counts.index:  # the commonest first
        spelling.setdefault(text.casefold(), text)
    return {text: spelling[text.casefold()] for text in counts.index}


def _positive(classes: Sequence[str], counts: Mapping[str, int]) -> tuple[str, str]:
    alike = [name for name in classes if name.casefold() in _POSITIVE]
    if len(alike) == 1:
        return alike[0], "the word for what is looked for"
    return min(classes, key=lambda name: (counts[name], name)), "the rarer one"


def _in_order(name: str) -> tuple[float, str]:
    try:
        return float(name), ""
    except ValueError:
        return float("inf"), name


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({rows:,})" for name, rows in counts.items()]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _another(asked: Asked) -> str:
    return f"Name a column with classes or numbers: `{asked.command(target=None)}`"


def _require_rows(rows: int, asked: Asked) -> None:
    if rows < FEWEST_ROWS:
        raise TooFewRows(asked.called, rows, FEWEST_ROWS, asked.command())
