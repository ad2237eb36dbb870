"""Rows made ready for the checks: each column is read once as what the contract says it is, and found again by all of them."""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from treadle.data.validation.findings import KEPT, SAMPLE, Finding, Positions
from treadle.spec import DateFeature, Interface, NumberFeature, Severity

LOOKED_AT = 20_000
"""How many rows the costly checks look at, drawn evenly from all of them."""

DAY = 86_400_000_000
"""Microseconds: in nanoseconds the last day would be in 2262, and tables hold 9999-12-31."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]


class Table:
    """Rows of a contract's data. Columns are texts, and no two are called the same."""

    def __init__(self, interface: Interface, frame: DataFrame) -> None:
        self.interface = interface
        dense = {name: column.dtype.subtype for name, column in frame.items() if isinstance(column.dtype, pd.SparseDtype)}
        self.frame = frame.astype(dense).set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
        self.rows = len(frame)
        self._numbers: dict[str, Numbers] = {}
        self._codes: dict[str, tuple[Codes, Any]] = {}
        self._missing: dict[str, Flags] = {}
        self._types = {feature.name: feature for feature in interface.features}

    def __contains__(self, column: str) -> bool:
        return column in self.frame

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The features of the contract that the rows have."""
        return tuple(name for name in self.interface.feature_names if name in self)

    @cached_property
    def looked_at(self) -> Positions:
        """The rows that the costly checks look at, in random order: the same ones each time."""
        drawn = np.random.default_rng(0).permutation(self.rows)[:LOOKED_AT]
        return drawn.astype(np.int64)

    def is_numeric(self, name: str) -> bool:
        """Tell whether a column has an order with distances: numbers and dates."""
        if name in self._types:
            return isinstance(self._types[name], NumberFeature | DateFeature)
        if name == self.interface.target.name:
            return self.interface.task == "regression"
        column = self.frame[name]
        plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        return plain or pd.api.types.is_datetime64_any_dtype(column)

    def is_date(self, name: str) -> bool:
        """Tell whether a column's numbers are days."""
        if name in self._types:
            return isinstance(self._types[name], DateFeature)
        return name in self and pd.api.types.is_datetime64_any_dtype(self.frame[name])

    def is_day(self, name: str) -> bool:
        """Tell whether a column is a date feature, of which the clock does not count."""
        return isinstance(self._types.get(name), DateFeature)

    def missing(self, name: str) -> Flags:
        """Return which values are missing."""
        if name not in self._missing:
            self._missing[name] = self.frame[name].isna().to_numpy()
        return self._missing[name]

    def numbers(self, name: str) -> Numbers:
        """Return a column as float64: days after 1970-01-01 of a date, NaN for what is missing or not of its type."""
        if name not in self._numbers:
            column = self.frame[name]
            self._numbers[name] = days(column) if self.is_date(name) else numbers_of(column)
        return self._numbers[name]

    def truths(self, name: str) -> Flags:
        """Return which values are true, false, or missing."""
        column = self.frame[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) in {"boolean", "empty"}:
            return np.ones(self.rows, dtype=bool)
        return column.map(lambda value: isinstance(value, bool | np.bool_)).to_numpy(dtype=bool) | self.missing(name)

    def codes(self, name: str) -> tuple[Codes, Any]:
        """Return a number for each value, -1 where it is missing, and the different values in the order of their numbers."""
        if name not in self._codes:
            column = self.frame[name]
            try:
                codes, values = pd.factorize(column)
            except TypeError:  # lists and the like
                codes, values = pd.factorize(column.astype(str).where(column.notna()))
            self._codes[name] = codes.astype(np.int64), values
        return self._codes[name]

    def among(self, name: str, allowed: Sequence[str]) -> Codes:
        """Return which of the allowed texts each value is, -1 for any other; each different value is looked at once."""
        codes, values = self.codes(name)
        places = {text: place for place, text in enumerate(allowed)}
        found = [places.get(value, -1) if isinstance(value, str) else -1 for value in values]
        return np.array([*found, -1], dtype=np.int64)[codes]  # a missing value, -1, takes the last one

    def shown(self, name: str, position: int) -> str:
        """Return a value as a message shows it."""
        return shown(self.frame[name].iloc[position])

    def finding(  # noqa: PLR0913 - what a finding is made of
        self, check: str, severity: Severity, column: str, flags: Flags, phrase: str, *, limit: float = 0.0, edit: str = ""
    ) -> list[Finding]:
        """Return a finding about the flagged values of a column, unless they are at most ``limit`` of all, or nobody asks."""
        found = np.flatnonzero(flags)
        share = len(found) / self.rows
        if severity == "off" or not len(found) or share <= limit:
            return []
        values = tuple(dict.fromkeys(self.shown(column, row) for row in found[:KEPT]))[:SAMPLE]
        what = phrase if check in {"missing", "mostly missing"} else f"{phrase}, such as {values[0]}"
        message = f"{column}: {len(found)} of {self.rows} values are {what} ({named(found)})"
        return [self.made(check, severity, column, found, message, values=values, edit=edit)]

    def made(  # noqa: PLR0913 - what a finding is made of
        self,
        check: str,
        severity: Severity,
        column: str,
        found: Positions,
        message: str,
        *,
        values: tuple[str, ...] = (),
        edit: str = "",
    ) -> Finding:
        """Return a finding about the rows at the positions ``found``."""
        return Finding(
            check=check,
            severity="error" if severity == "error" else "warning",
            column=column,
            message=message,
            rows=tuple(int(row) for row in found[:SAMPLE]),
            values=values,
            count=len(found),
            share=len(found) / max(self.rows, 1),
            edit=edit,
            where=found[:KEPT].astype(np.int64),
        )


def named(found: Positions) -> str:
    """Return the first few positions for a message."""
    return f"{'row' if len(found) == 1 else 'rows'} {', '.join(map(str, found[:SAMPLE]))}{', …' if len(found) > SAMPLE else ''}"


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, pd.Timestamp):
        return str(value.date() if value == value.normalize() and value.tz is None else value)
    if isinstance(value, date):
        return str(value)
    said = repr(value.item() if isinstance(value, np.generic) else value)
    return said if len(said) <= 80 else f"{said[:77]}..."


def days(column: "Series[Any]") -> Numbers:
    """Return the days after 1970-01-01 of dates, times or ISO texts, NaN for anything else."""
    moments = np.floor(times(column) / DAY)
    return np.where(np.isnan(moments), np.nan, moments)


def times(column: "Series[Any]") -> Numbers:
    """Return the microseconds after 1970-01-01 of dates, times or ISO texts by their own clock, NaN for anything else."""
    if column.dtype == object:
        column = column.map(lambda value: value if isinstance(value, str | date) else None).astype(object)
    if column.dtype == object or pd.api.types.is_string_dtype(column):
        column = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
    if not pd.api.types.is_datetime64_any_dtype(column):
        return np.full(len(column), np.nan)
    moments = column.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))


def numbers_of(column: "Series[Any]") -> Numbers:
    """Return a column as float64, NaN for what is missing or no number."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([_number(value) for value in column.astype(object)], dtype=np.float64)


def _number(value: object) -> float:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if real else np.nan  # type: ignore[arg-type]
