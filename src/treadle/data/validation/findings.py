"""What the checks find: each thing with its rows, a few of its values, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

SAMPLE = 5
"""How many rows and values a finding names."""

KEPT = 200
"""How many rows of one finding are remembered, for the sample of bad rows."""

WHOLE_ROWS = "*"
"""Stands where a column would, when a finding is about whole rows."""

Positions = NDArray[np.int64]

ADVICE: Mapping[str, str] = {
    "empty": "Look at the source, and at load() in model.py.",
    "named twice": "Rename or drop one of them in load().",
    "present": "Bring the column in load(), or change the contract.",
    "type": "Turn the values into what the contract says in load(), or change the type in model.yaml.",
    "whole": "Round them in load(), or make the feature a number.",
    "float32": "Scale the column down in load(), or make the feature a number.",
    "missing": "Fill them or drop the rows in load(); if the value may really be missing, set required: false.",
    "mostly missing": "Ask why it is missing so often; a value that is nearly never there is imputed nearly always.",
    "min": "Mend the values in load(); if they are real, widen the range.",
    "max": "Mend the values in load(); if they are real, widen the range.",
    "category": "Mend the texts in load(); if they are real, add them to the categories.",
    "class": "Mend the texts in load(), or the classes of the target.",
    "classes": "Bring rows of that class, or take it out of the target's classes.",
    "columns": "Add it to the features, or to policy.data.columns.ignore if it is left out on purpose.",
    "outliers": "Look at the rows: a slip of the pen, another unit, or rare and real. If they cannot be, narrow min and max.",
    "constant": "Leave it out: a model learns nothing from it, and it cannot drift.",
    "duplicates": "Drop them in load() if a row was written twice; the holdout must not hold copies of training rows.",
    "contradictions": "Ask what tells these rows apart in life; a feature may be missing, or labels be wrong.",
    "entity": "Bring the key in load(): rows without one can stand on both sides of a split by entity.",
    "correlation": "Leave one of them out: two names for one thing blur importances and count drift twice.",
    "leak": "Ask when it is written down. If that is after the outcome, leave it out: in service it is not there yet.",
    "freshness": "Look whether the source is still being filled.",
    "rule": "Look at the rows; mend the source, or the rule.",
    "rule unusable": "Mend the column in load(), or the rule.",
}


TITLES: Mapping[str, str] = {
    "empty": "no rows",
    "named twice": "two columns of one name",
    "present": "no such column",
    "type": "wrong type",
    "whole": "not whole",
    "float32": "too large",
    "min": "below the range",
    "max": "above the range",
    "category": "unknown category",
    "class": "unknown class",
    "classes": "a class without rows",
    "columns": "not in the contract",
    "entity": "rows about nobody",
    "leak": "gives the target away",
    "rule": "breaks a rule",
    "rule unusable": "a rule that says nothing",
}
"""A finding's headline, where the name of its check is none."""


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    ``column`` is a column, several with commas between, or ``WHOLE_ROWS``; ``rows`` the positions (from 0) of the first few rows and
    ``values`` what stands there; ``count`` how many there are and ``share`` how large a part that is; ``edit`` what to paste into
    model.yaml, where the world is right and the contract is not. ``where`` holds more positions, for the sample of bad rows.
    """

    check: str
    severity: Literal["error", "warning"]
    column: str
    message: str
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    count: int = 0
    share: float = 0.0
    edit: str = ""
    where: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False, compare=False)

    @property
    def title(self) -> str:
        """Return what is wrong, in a few words."""
        return TITLES.get(self.check, self.check)

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence."""
        return ADVICE[self.check]


@dataclass(frozen=True)
class Asked:
    """A check that was made: how much is allowed, what it means when that is passed, and how often it was."""

    check: str
    severity: str
    limit: str
    findings: int


@dataclass(frozen=True)
class Bar:
    """One bar of a column's histogram."""

    label: str
    count: int


@dataclass(frozen=True)
class Column:
    """What a column holds.

    ``part`` says what it is in the contract (feature, target, entity, time, or nothing). ``score`` is how well it alone tells the
    target, from 0 to 1, where that was asked; ``spread`` the smallest, middle and largest value of a number or date.
    """

    name: str
    part: str
    type: str
    missing: float
    distinct: int
    bars: tuple[Bar, ...]
    spread: tuple[str, str, str] | None = None
    score: float | None = None


@dataclass(frozen=True)
class Report:
    """What is to be said about some rows. Problems forbid to train on them; warnings do not."""

    rows: int
    findings: tuple[Finding, ...]
    asked: tuple[Asked, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are warnings."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def passed(self) -> bool:
        """Whether the rows may be trained on."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON holds it."""
        return {
            "rows": self.rows,
            "passed": self.passed,
            "errors": len(self.problems),
            "warnings": len(self.warnings),
            "findings": [_as_json(finding) for finding in self.findings],
            "checks": [vars(asked) for asked in self.asked],
            "columns": [{**vars(column), "bars": [vars(bar) for bar in column.bars]} for column in self.columns],
        }


def bad_rows(report: Report, frame: DataFrame, limit: int = KEPT) -> DataFrame:
    """Return at most ``limit`` rows that something was found in, errors first, with their position and what was found.

    Each finding is given its turn, so that one with many rows does not crowd out the others.
    """
    said: dict[int, list[str]] = {}
    findings = [*report.problems, *report.warnings]
    for turn in range(max((len(finding.where) for finding in findings), default=0)):
        for finding in findings:
            if turn < len(finding.where) and (finding.where[turn] in said or len(said) < limit):
                said.setdefault(int(finding.where[turn]), []).append(f"{finding.column}: {finding.check}")
    found = frame.iloc[list(said)].reset_index(drop=True)
    found.insert(0, "treadle: found", ["; ".join(dict.fromkeys(what)) for what in said.values()], allow_duplicates=True)
    found.insert(0, "treadle: row", list(said), allow_duplicates=True)
    return found


def _as_json(finding: Finding) -> dict[str, Any]:
    facts = {name: value for name, value in vars(finding).items() if name != "where"}
    return {**facts, "title": finding.title, "advice": finding.advice}
