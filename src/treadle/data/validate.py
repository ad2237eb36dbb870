"""Whether rows keep the contract: pandera checks that are derived from it, so that nobody writes them twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray
from pandas import DataFrame, Series

from treadle.engine.columns import FLOAT32_MAX
from treadle.errors import DataInvalid
from treadle.spec import FLOAT32_WHOLE, BooleanFeature, CategoryFeature, Contract, DateFeature, Feature, Interface, NumberFeature

SAMPLE = 5
"""How many rows a problem names."""

MISSING = "missing"

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A broken check: ``rows`` are the positions (from 0) of the first few rows, ``count`` is how many there are."""

    check: str
    column: str
    rows: tuple[int, ...]
    count: int
    message: str


@dataclass(frozen=True)
class Report:
    """What is wrong with rows. Problems forbid to train on them; warnings do not."""

    rows: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(contract: Contract, frame: DataFrame) -> Report:
    """Check rows against the contract, all checks at once."""
    interface = contract.interface
    if frame.empty:
        return Report(0, (Problem("empty", interface.target.name, (), 0, "there are no rows"),), ())
    frame = frame.reset_index(drop=True)
    problems = _by_pandera(_schema(interface), frame)
    if not any(problem.column == interface.target.name for problem in problems):
        problems += _about_target(interface, frame)
    return Report(len(frame), tuple(problems), tuple(_warnings(interface, frame)))


def require_valid(contract: Contract, frame: DataFrame) -> Report:
    """Check rows and return the report, which may hold warnings.

    Raises:
        DataInvalid: the rows break the contract; the error names columns and rows.
    """
    report = check(contract, frame)
    if report.problems:
        raise DataInvalid(contract.name, [problem.message for problem in report.problems])
    return report


def _schema(interface: Interface) -> pa.DataFrameSchema:
    columns = {feature.name: pa.Column(checks=_feature_checks(feature), nullable=not feature.required) for feature in interface.features}
    columns[interface.target.name] = pa.Column(checks=_target_checks(interface))
    if interface.entity is not None:
        columns[interface.entity] = pa.Column(nullable=True)
    if interface.time is not None:
        columns[interface.time] = pa.Column()
    return pa.DataFrameSchema(columns)


def _feature_checks(feature: Feature) -> list[pa.Check]:
    if isinstance(feature, CategoryFeature):
        return [_among("category", feature.categories)]
    if isinstance(feature, BooleanFeature):
        return [pa.Check(lambda column: column.map(_is_truth), name="type", error="neither true nor false")]
    return _date_checks(feature) if isinstance(feature, DateFeature) else _number_checks(feature)


def _date_checks(feature: DateFeature) -> list[pa.Check]:
    checks = [pa.Check(lambda column: ~pd.isna(_days(column)), name="type", error="no dates")]
    bounds = {"min": (feature.min, "before the earliest"), "max": (feature.max, "after the latest")}
    for name, (bound, side) in bounds.items():
        if bound is not None:
            error = f"{side} allowed day {bound}"
            checks.append(pa.Check(partial(_in_order, bound, first=name == "min"), name=name, error=error))
    return checks


def _in_order(bound: date, column: "Series[Any]", *, first: bool) -> "Series[bool]":
    """Tell which days lie on the right side of ``bound``; what is no date is the type check's to report."""
    days = _days(column)
    return days.isna() | (days >= pd.Timestamp(bound) if first else days <= pd.Timestamp(bound))


def _days(column: "Series[Any]") -> "Series[Any]":
    """Return the day of each date or time, missing where it is none."""
    return pd.to_datetime(column, errors="coerce").dt.tz_localize(None).dt.normalize()


def _number_checks(feature: NumberFeature) -> list[pa.Check]:
    checks = [_finite()]
    if feature.type == "integer":
        checks.append(_each("whole", "not whole numbers", lambda values: values % 1 == 0))
        checks.append(
            _each("float32", f"beyond {FLOAT32_WHOLE}, where float32 is not exact", lambda values: np.abs(values) <= FLOAT32_WHOLE)
        )
    if feature.min is not None:
        checks.append(_each("min", f"below the smallest allowed value {feature.min:g}", partial(np.less_equal, feature.min)))
    if feature.max is not None:
        checks.append(_each("max", f"above the largest allowed value {feature.max:g}", partial(np.greater_equal, feature.max)))
    return checks


def _target_checks(interface: Interface) -> list[pa.Check]:
    return [_finite()] if interface.task == "regression" else [_among("class", interface.target.classes)]


def _among(name: str, allowed: Sequence[str]) -> pa.Check:
    return pa.Check(lambda column: column.isin(allowed), name=name, error=f"not among {', '.join(allowed)}")


def _finite() -> pa.Check:
    return pa.Check(lambda column: _numbers(column).abs() <= FLOAT32_MAX, name="type", error="not finite float32 numbers")


def _each(name: str, phrase: str, holds: Callable[[Numbers], NDArray[np.bool_]]) -> pa.Check:
    """Return a check of the finite numbers of a column; what is not a finite number is the type check's to report."""

    def passes(column: "Series[Any]") -> "Series[bool]":
        values = _numbers(column)
        finite = np.isfinite(values)
        return pd.Series(~finite | holds(np.where(finite, values, 0.0)), index=column.index)

    return pa.Check(passes, name=name, error=phrase)


def _numbers(column: "Series[Any]") -> "Series[float]":
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("float64")
    return column.map(lambda value: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan).astype(
        "float64"
    )


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _by_pandera(schema: pa.DataFrameSchema, frame: DataFrame) -> list[Problem]:
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases: DataFrame = errors.failure_cases
        absent = cases["check"] == "column_in_dataframe"
        problems = [Problem("present", name, (), 0, f"{name}: there is no such column") for name in cases.loc[absent, "failure_case"]]
        names = {(column.name, made.error): str(made.name) for column in schema.columns.values() for made in column.checks}
        for (name, phrase), group in cases[~absent].groupby(["column", "check"], sort=False):
            check_name = names.get((name, phrase), MISSING)
            problems.append(_problem(frame, check_name, str(name), str(phrase), group["index"].astype(int)))
        return problems
    return []


def _problem(frame: DataFrame, check_name: str, column: str, phrase: str, index: "Series[int]") -> Problem:
    rows = tuple(sorted(index)[:SAMPLE])
    what = "missing" if check_name == MISSING else f"{phrase}, such as {_shown(frame[column].iloc[rows[0]])}"
    return Problem(
        check_name, column, rows, len(index), f"{column}: {len(index)} of {len(frame)} values are {what} ({_rows(rows, len(index))})"
    )


def _about_target(interface: Interface, frame: DataFrame) -> list[Problem]:
    """Check what one row alone cannot show: that there is something to tell apart."""
    name, values = interface.target.name, frame[interface.target.name]
    if interface.task == "regression":
        constant = bool((values == values.iloc[0]).all())
        return [Problem("constant", name, (), len(frame), f"{name}: every row has the value {_shown(values.iloc[0])}")] if constant else []
    absent = [label for label in interface.target.classes if not (values == label).any()]
    return [Problem("classes", name, (), 0, f"{name}: no row has the class {label}") for label in absent]


def _warnings(interface: Interface, frame: DataFrame) -> list[Problem]:
    warnings = [_rows_warning("duplicates", "*", "rows repeat an earlier row", frame.duplicated())]
    if interface.entity is not None and interface.entity in frame:
        warnings.append(_rows_warning("entity", interface.entity, f"rows have no {interface.entity}", frame[interface.entity].isna()))
    return [warning for warning in warnings if warning.count]


def _rows_warning(check_name: str, column: str, phrase: str, flags: "Series[bool]") -> Problem:
    found = np.flatnonzero(flags.to_numpy())
    rows = tuple(int(row) for row in found[:SAMPLE])
    return Problem(check_name, column, rows, len(found), f"{len(found)} of {len(flags)} {phrase} ({_rows(rows, len(found))})")


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _rows(rows: tuple[int, ...], count: int) -> str:
    return f"{'row' if count == 1 else 'rows'} {', '.join(map(str, rows))}{', …' if count > len(rows) else ''}"
