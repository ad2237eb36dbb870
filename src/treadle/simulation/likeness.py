"""New rows that look like the known ones. None is a copy: a model that remembers its training rows must not know them.

Each new row stands between a known row and one of its neighbours: it takes each value from either, and a number that is no
common one moves a little towards the next. So what goes together in the data goes together here, and what is missing is
missing as often.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.neighbors import NearestNeighbors

from treadle.data.frame import matrix
from treadle.spec import CategoryFeature, Interface, NumberFeature

Matrix = NDArray[np.float32]
Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

NEIGHBOURS = 5
"""How many rows like it a row is mixed with."""

COMMON = 0.02
"""A number that so large a share of the rows has is kept exactly."""

DIGITS = 6
"""Numbers with more decimals than this are not rounded."""


class Likeness:
    """Makes rows like those of ``rows``, a frame with the contract's columns; ``known`` is their matrix, float32 [n, f]."""

    def __init__(self, interface: Interface, rows: DataFrame) -> None:
        self._interface = interface
        self._rows = rows
        self.known = matrix(interface, rows)
        self._near = _neighbours(interface, self.known)
        self._wander = {one.name: _Wander(one, rows[one.name]) for one in interface.features if isinstance(one, NumberFeature)}

    def like(self, index: Positions, random: np.random.Generator) -> DataFrame:
        """Return a new row for each position of a known one; the frame has the features alone."""
        other = self._near[index, random.integers(self._near.shape[1], size=len(index))]
        swap = random.random((len(index), len(self._interface.features))) < 0.5
        columns: dict[str, Any] = {}
        for column, feature in enumerate(self._interface.features):
            taken = self._rows[feature.name].iloc[np.where(swap[:, column], other, index)].reset_index(drop=True)
            wander = self._wander.get(feature.name)
            columns[feature.name] = taken if wander is None else wander(taken, random)
        return DataFrame(columns)

    def matrix(self, chances: Floats, count: int, random: np.random.Generator) -> Matrix:
        """Return so many new rows as a matrix; ``chances``, float64 [n], are those of the known rows to be taken."""
        return matrix(self._interface, self.like(random.choice(len(chances), size=count, p=chances), random))


class _Wander:
    """Moves the numbers of a column up to halfway towards their neighbours among the known ones."""

    def __init__(self, feature: NumberFeature, column: "pd.Series[Any]") -> None:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        self._values, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        self._common = counts >= max(3, COMMON * counts.sum())
        self._digits = 0 if feature.type == "integer" else _digits(self._values)

    def __call__(self, column: "pd.Series[Any]", random: np.random.Generator) -> "pd.Series[Any]":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        step = random.uniform(-0.5, 0.5, len(values))
        if not len(self._values):
            return column
        at = np.minimum(np.searchsorted(self._values, values), len(self._values) - 1)
        beside = self._values[np.clip(at + np.sign(step).astype(np.intp), 0, len(self._values) - 1)]
        moved = np.where(self._common[at], values, values + np.abs(step) * (beside - values))
        if self._digits is not None:
            moved = np.clip(np.round(moved, self._digits), self._values[0], self._values[-1])
        moved[np.isnan(values)] = np.nan
        return pd.Series(moved).astype(column.dtype) if pd.api.types.is_numeric_dtype(column) else pd.Series(moved)


def _digits(values: Floats) -> int | None:
    """Return the fewest decimals that all values are written with; None where they are not rounded."""
    for digits in range(DIGITS + 1):
        if np.allclose(values, np.round(values, digits), rtol=0, atol=10.0 ** -(digits + 4)):
            return digits
    return None


def _neighbours(interface: Interface, known: Matrix) -> Positions:
    """Return the positions of the rows most like each row, [n, up to 5]; where there is only one row it is its own."""
    columns: list[Floats] = []
    for feature, values in zip(interface.features, known.T.astype(np.float64), strict=True):
        missing = np.isnan(values)
        if isinstance(feature, CategoryFeature):
            columns += [0.7 * (values == code) for code in np.unique(values[~missing])]
        else:
            ranks = pd.Series(values).rank(pct=True).to_numpy(dtype=np.float64)
            columns += [np.where(missing, 0.5, ranks), *([missing.astype(np.float64)] if missing.any() else [])]
    count = min(NEIGHBOURS, len(known) - 1)
    if not count:
        return np.zeros((1, 1), dtype=np.intp)
    space = np.stack(columns, axis=1).astype(np.float32)
    found = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(space).kneighbors(return_distance=False)
    return np.asarray(found, dtype=np.intp)
