"""From the matrix back to the contract's columns, for an estimator that prepares them itself (``preprocessing.input: columns``).

The first step of such a pipeline is ``Columns``; in the graph the nodes of ``training.front`` do the same. What a column holds:

| feature | values | missing |
|---|---|---|
| number | float64: the plain decimal that the float32 of the matrix stands for | NaN |
| integer | int64; float64 where a value may be missing | NaN |
| boolean | true and false; float64 where a value may be missing | NaN |
| date | days after 1970-01-01, float64 | NaN |
| category | texts | NaN; a category that the contract does not list is ``UNSEEN`` |
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from treadle.spec import BooleanFeature, CategoryFeature, Feature, Interface

UNSEEN = "\x1funseen"
"""The text of a category that the contract does not list: no category is called so."""


DIGITS = 7
"""What float32 keeps of a decimal."""

SMALLEST = 1e-30


class Columns(TransformerMixin, BaseEstimator):
    """Decodes rows, float32 [n, f], into what the estimator takes: a DataFrame, or an array for one that was fitted on an array.

    ``named`` says which of the two; an array can hold numbers only.
    """

    def __init__(self, interface: Interface, *, named: bool = True) -> None:
        self.interface = interface
        self.named = named

    def fit(self, matrix: object, y: object = None) -> Self:  # noqa: ARG002 - the interface of scikit-learn
        """Learn nothing: the contract says it all."""
        return self

    def transform(self, matrix: npt.ArrayLike) -> Any:
        """Return the columns of these rows."""
        rows = np.asarray(matrix, dtype=np.float32)
        if not self.named:
            return plain(rows)
        return pd.DataFrame({feature.name: decoded(feature, rows[:, index]) for index, feature in enumerate(self.interface.features)})

    def __sklearn_is_fitted__(self) -> bool:
        return True


def decoded(feature: Feature, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Return the column of a feature, [n], from its numbers in the matrix."""
    if isinstance(feature, CategoryFeature):
        missing = np.isnan(values)
        codes = np.where(missing, -1, values).astype(np.int64)
        known = (codes >= 0) & (codes < len(feature.categories))
        texts = np.array([*feature.categories, UNSEEN], dtype=object)[np.where(known, codes, -1)]
        texts[missing] = np.nan
        return texts
    kind = _whole(feature)
    # In a request none is missing; a row with a hole is only ever made up, and has to be some number here.
    return plain(values) if kind is None else np.where(np.isnan(values), 0, values).astype(kind)


def plain(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return float32 numbers as the decimals that they stand for: 13.06, not 13.0600004196, which is the nearest float32.

    A notebook computes with 13.06. Where no decimal of seven digits is that float32, the number stays as it is.
    """
    wide = values.astype(np.float64)
    exponent = np.floor(np.log(np.maximum(np.abs(wide), SMALLEST)) * (1 / np.log(10)))
    up, down = (10.0 ** np.maximum(side * (DIGITS - 1 - exponent), 0) for side in (1, -1))
    decimal = np.rint(wide * up / down) / up * down
    return np.where(decimal.astype(np.float32) == values, decimal, wide)


def _whole(feature: Feature) -> type[np.int64] | type[np.bool_] | None:
    """Return the type of a column in which no value can be missing."""
    if feature.required and isinstance(feature, BooleanFeature):
        return np.bool_
    return np.int64 if feature.required and feature.type == "integer" else None
