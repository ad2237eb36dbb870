"""One column at first sight: what its values are, whatever part the column will have. Pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from treadle.drafting import texts

MOSTLY = 0.9
"""A column of which this share is numbers is one of numbers, and its texts are missing values."""
MANY_NUMBERS = 20
"""It must have more different numbers than this; else 1, 2 and 3+ are categories."""

Kind = Literal["empty", "constant", "boolean", "date", "number", "text", "nested"]


@dataclass(frozen=True, eq=False)
class Sight:
    """What the values of a column are.

    ``raw`` is the name in the table, ``name`` the one in the contract, ``cells`` the converted values with NA for what is missing.
    ``text`` says that the table holds texts; then ``truths``, ``forms`` and ``numerals`` say how they are read, and ``stray`` lists
    texts among numbers.
    """

    raw: str
    name: str
    kind: Kind
    cells: "Series[Any]"
    text: bool
    written: "Series[Any]"
    truths: Mapping[str, bool] = field(default_factory=dict)
    forms: tuple[str, ...] = ()
    numerals: texts.Numerals | None = None
    stray: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int(self.cells.isna().sum())

    @property
    def different(self) -> int:
        """How many different values there are."""
        return int(self.cells.nunique())

    @property
    def whole(self) -> bool:
        """Whether all numbers are whole, and written so."""
        known = self.cells.dropna()
        if self.kind != "number" or not (known % 1 == 0).all():
            return False
        if self.text and self.numerals is not None:
            mark = self.numerals.decimal
            return not self.written[self.cells.notna()].str.contains(mark, regex=False).any() or mark in self.numerals.marks
        return True

    def at(self, rows: "Series[bool]") -> "Sight":
        """Return the same column with some of its rows; what is constant there is constant."""
        values = self.cells[rows]
        different = 2 if self.kind == "nested" else values.nunique()
        kind: Kind = self.kind if different > 1 else "constant" if different else "empty"
        return Sight(self.raw, self.name, kind, values, self.text, self.written[rows], self.truths, self.forms, self.numerals, self.stray)


def see(frame: DataFrame, names: Mapping[str, str], decimal: str) -> list[Sight]:
    """Return every column of a table at first sight; ``names`` gives each its name in the contract."""
    return [
        _text(raw, names[raw], frame[raw], decimal) if is_text(frame[raw]) else _typed(raw, names[raw], frame[raw]) for raw in frame.columns
    ]


def is_text(column: "Series[Any]") -> bool:
    """Tell whether a column holds texts only, and perhaps nothing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return is_text(Series(column.cat.categories))
    known = column.dropna()
    return not pd.api.types.is_numeric_dtype(column) and len(known) > 0 and bool(known.map(lambda value: isinstance(value, str)).all())


def written(column: "Series[Any]") -> "Series[str]":
    """Return the texts of a column without the spaces around them, "" where there is none."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


def _text(raw: str, name: str, column: "Series[Any]", decimal: str) -> Sight:
    shown = written(column)
    known = shown[~texts.nothing(shown)]
    whole_column = shown.where(~texts.nothing(shown))
    if known.nunique() < 2:
        return Sight(raw, name, "constant" if len(known) else "empty", whole_column, text=True, written=shown)
    truths = texts.truths(list(known.unique()))
    if truths:
        return Sight(raw, name, "boolean", whole_column.map(truths).astype("boolean"), text=True, written=shown, truths=truths)
    forms = texts.day_forms(known)
    if forms:
        return Sight(raw, name, "date", texts.days(whole_column, forms[0]), text=True, written=shown, forms=tuple(forms))
    if not known.str.fullmatch(r"0\d+").any():  # leading zeros say that it is a code
        read = texts.numerals(known, decimal)
        stray = known[read.numbers.isna()]
        if stray.empty or (len(stray) <= (1 - MOSTLY) * len(known) and read.numbers.nunique() > MANY_NUMBERS):
            values = read.numbers.reindex(shown.index)
            return Sight(raw, name, "number", values, text=True, written=shown, numerals=read, stray=tuple(stray.unique()))
    return Sight(raw, name, "text", whole_column, text=True, written=shown)


def _typed(raw: str, name: str, column: "Series[Any]") -> Sight:
    kind, values = _converted(column)
    different = 2 if kind == "nested" else values.nunique()
    if different < 2:
        kind = "constant" if different else "empty"
    return Sight(raw, name, kind, values, text=False, written=column)


def _converted(column: "Series[Any]") -> tuple[Kind, "Series[Any]"]:
    if pd.api.types.is_bool_dtype(column):
        return "boolean", column.astype("boolean")
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date", column
    if pd.api.types.is_numeric_dtype(column):
        return "number", column.astype("float64").replace([np.inf, -np.inf], np.nan)
    return _objects(column)


def _objects(column: "Series[Any]") -> tuple[Kind, "Series[Any]"]:
    known = column.dropna()
    if known.map(lambda value: isinstance(value, bool)).all() and len(known):
        return "boolean", column.astype("boolean")
    if known.map(lambda value: isinstance(value, int | float | Decimal)).all():
        return "number", pd.to_numeric(column).astype("float64")
    if known.map(lambda value: isinstance(value, dt.date)).all():
        return "date", pd.to_datetime(column)
    return "nested", column
