"""From a fitted estimator and what it was fitted on to a contract's interface and rows. Pure; nothing is guessed that the data say."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series
from pydantic import ValidationError
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from treadle.drafting import ranges
from treadle.errors import NotPublishable
from treadle.spec import (
    FLOAT32_WHOLE,
    BooleanFeature,
    CategoryFeature,
    DateFeature,
    Feature,
    Interface,
    NumberFeature,
    Preprocessing,
    Target,
)

CATEGORIES = 1000
"""More different texts than this are no categories."""


@dataclass(frozen=True, eq=False)
class Taken:
    """An interface, the rows in its form, and the classes in the notebook's own type (none for a regression)."""

    interface: Interface
    frame: DataFrame
    classes: NDArray[Any] | None


def taken(fitted: Any, features: Any, answers: Any, *, positive: object = None) -> Taken:
    """Return what the contract says of a fitted estimator, and its rows.

    Raises:
        NotPublishable: it is not fitted, answers several things, or a column is of a kind that a request cannot carry.
    """
    require_fitted(fitted)
    table = columns(fitted, features)
    y = _answers(answers, len(table))
    classes = _classes(fitted, y)
    name = _target_name(answers, list(table.columns))
    rows = {column: _rows(table[column]) for column in table}
    try:
        interface = Interface(
            task="regression" if classes is None else "binary" if len(classes) == 2 else "multiclass",
            target=_target(name, classes, positive),
            features=tuple(_feature(str(column), values) for column, values in rows.items()),
            preprocessing=Preprocessing(input="columns"),
        )
    except ValidationError as error:
        said = "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        raise NotPublishable(said, "Rename the column, and fit again.") from error
    target = y.astype(np.float64) if classes is None else np.array([str(value) for value in y], dtype=object)
    return Taken(interface, DataFrame({**rows, name: target}), classes)


def require_fitted(fitted: Any) -> None:
    """Refuse what is no fitted classifier or regressor.

    Raises:
        NotPublishable: it is not.
    """
    # scikit-learn asks for the tags of an estimator, which nothing else has.
    if not isinstance(fitted, BaseEstimator) or not (is_classifier(fitted) or is_regressor(fitted)):
        kind = f"the class {fitted.__name__}" if isinstance(fitted, type) else f"{_article(type(fitted).__name__)} {type(fitted).__name__}"
        raise NotPublishable(f"this is {kind}, not a classifier or regressor", "Publish the fitted estimator, or the whole pipeline.")
    try:
        check_is_fitted(fitted)
    except NotFittedError as error:
        raise NotPublishable("it is not fitted yet", "Call fit(X, y), then publish it with the same X and y.") from error


def _article(name: str) -> str:
    return "an" if name[0] in "aeiouAEIO" else "a"


def columns(fitted: Any, features: Any) -> DataFrame:
    """Return the columns that the estimator was fitted on, in their order; those of an array are called x0, x1 and so on.

    Raises:
        NotPublishable: X has other columns, or is no table.
    """
    known = getattr(fitted, "feature_names_in_", None)
    if isinstance(features, DataFrame) and known is not None:
        missing = [str(name) for name in known if name not in features]
        if missing:
            raise NotPublishable(f"X lacks the columns {', '.join(missing)}, which it was fitted on", "Pass the X that it was fitted on.")
        return features[list(known)].reset_index(drop=True)
    table = features.to_numpy() if isinstance(features, DataFrame) else np.asarray(features)
    if table.ndim != 2 or table.dtype.kind not in "fiub":
        raise NotPublishable(
            f"X is an array of {table.dtype} with {table.ndim} dimensions", "Pass a DataFrame, or an array of numbers with a row per row."
        )
    width = getattr(fitted, "n_features_in_", table.shape[1])
    if width != table.shape[1]:
        raise NotPublishable(f"X has {table.shape[1]} columns, and it was fitted on {width}", "Pass the X that it was fitted on.")
    return DataFrame(table, columns=list(known) if known is not None else [f"x{index}" for index in range(width)])


def _answers(answers: Any, count: int) -> NDArray[Any]:
    values = np.asarray(answers)
    values = values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1 or len(values) != count:
        raise NotPublishable(f"y has the shape {list(values.shape)} for {count} rows", "Pass one answer per row of X.")
    if pd.isna(values).any():
        raise NotPublishable("y has missing values", "Leave the rows without an answer out, and fit again.")
    return values


def _classes(fitted: Any, y: NDArray[Any]) -> NDArray[Any] | None:
    if not is_classifier(fitted):
        return None
    classes = np.asarray(fitted.classes_)
    texts = [str(value) for value in classes]
    unknown = sorted({str(value) for value in y} - set(texts))
    if unknown:
        raise NotPublishable(f"y holds {', '.join(unknown[:5])}, which it was not fitted on", "Pass the y that it was fitted on.")
    if len(set(texts)) != len(texts):
        raise NotPublishable(f"two of its classes are written alike: {', '.join(texts)}", "Name the classes apart, and fit again.")
    return classes


def _target(name: str, classes: NDArray[Any] | None, positive: object) -> Target:
    if classes is None:
        return Target(name=name)
    if positive is not None and str(positive) not in {str(value) for value in classes}:
        raise NotPublishable(f"positive={positive!r} is none of its classes", _meant(str(positive), classes))
    return Target(name=name, classes=tuple(str(value) for value in classes), positive=None if positive is None else str(positive))


def _meant(positive: str, classes: NDArray[Any]) -> str:
    near = get_close_matches(positive, [str(value) for value in classes], n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(repr(str(value)) for value in classes)}."


def _target_name(answers: Any, features: Sequence[str]) -> str:
    named = answers.columns[0] if isinstance(answers, DataFrame) else getattr(answers, "name", None)
    name = named if isinstance(named, str) and named.strip() == named and named else "target"
    while name in features:
        name += "_"
    return name


def _rows(column: "Series[Any]") -> "Series[Any]":
    """Return a column as the contract has it: texts, truths, numbers or times; missing ones as pandas has them.

    Raises:
        NotPublishable: it holds something else.
    """
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
        return column
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return column if kind.kind in "iu" and not column.isna().any() else column.astype("float64")
    known = column.dropna()
    if known.map(lambda value: isinstance(value, str)).all():
        return column.astype(object).where(column.notna(), None)
    if known.map(lambda value: isinstance(value, bool | np.bool_)).all():
        return column.astype("boolean")
    kinds = sorted({type(value).__name__ for value in known})
    raise NotPublishable(
        f"the column {column.name!r} ({kind}) holds {', '.join(kinds)}",
        "Make it texts, numbers or truths (X[c].astype(str)), and fit again.",
    )


def _feature(name: str, column: "Series[Any]") -> Feature:
    required = not column.isna().any()
    known = column.dropna()
    if pd.api.types.is_bool_dtype(column.dtype):
        return BooleanFeature(name=name, type="boolean", required=required)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        first, last = ranges.days(known.min().date(), known.max().date())
        return DateFeature(name=name, type="date", min=first, max=last, required=required)
    if column.dtype == object:
        return CategoryFeature(name=name, type="category", categories=_categories(name, known), required=required)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    whole = column.dtype.kind in "iu" and max(abs(low), abs(high)) <= FLOAT32_WHOLE
    smallest, largest, _ = ranges.numbers(name, low, high, whole=whole)
    example = float(known.sort_values().iloc[len(known) // 2]) if len(known) else None
    return NumberFeature(name=name, type="integer" if whole else "number", min=smallest, max=largest, required=required, example=example)


def _categories(name: str, known: "Series[Any]") -> tuple[str, ...]:
    texts = sorted(set(known))
    if not texts or len(texts) > CATEGORIES:
        raise NotPublishable(
            f"the column {name!r} holds {len(texts)} different texts", f"Bring it down to {CATEGORIES} categories at most, and fit again."
        )
    return tuple(texts)
