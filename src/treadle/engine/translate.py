"""Rows that were logged under one interface, as rows under another: ``spec.evolution`` says how, this does it to matrices."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from treadle.spec import EPOCH, BooleanFeature, CategoryFeature, Feature, Interface
from treadle.spec.evolution import UNKNOWN, Translation

Floats = NDArray[np.float32]


def translated(translation: Translation, matrix: Floats) -> Floats:
    """Return a matrix of the old interface, float32 [n, old features], as one of the new, float32 [n, new features]."""
    if translation.identity:
        return matrix
    made = np.full((len(matrix), len(translation.columns)), np.nan, dtype=np.float32)
    for place, (column, codes) in enumerate(zip(translation.columns, translation.codes, strict=True)):
        if column is not None:
            made[:, place] = matrix[:, column] if codes is None else _recoded(matrix[:, column], codes)
    return made


def allowed(interface: Interface, matrix: Floats) -> NDArray[np.bool_]:
    """Return for each row of a matrix, float32 [n, features], whether a request under ``interface`` could have carried it."""
    fits = np.ones(len(matrix), dtype=np.bool_)
    for feature, values in zip(interface.features, matrix.T, strict=True):
        missing = np.isnan(values)
        fits &= np.where(missing, not feature.required, _within(feature, np.where(missing, 0, values)))
    return fits


def _recoded(values: Floats, codes: tuple[int, ...]) -> Floats:
    """Return category codes under the new list; what is missing stays so, what was unknown too."""
    missing = np.isnan(values)
    table = np.array([*codes, UNKNOWN], dtype=np.float32)  # -1 takes the last one
    recoded = table[np.where(missing, UNKNOWN, values).astype(np.int64)]
    return np.where(missing, np.float32(np.nan), recoded).astype(np.float32)


def _within(feature: Feature, values: Floats) -> NDArray[np.bool_]:
    if isinstance(feature, CategoryFeature):
        return np.asarray((values >= 0) & (values < len(feature.categories)))
    if isinstance(feature, BooleanFeature):
        return np.asarray((values == 0) | (values == 1))
    # The bounds as float32 too: a value on a bound was rounded as the bound is.
    fits: NDArray[np.bool_] = (values >= _bound(feature.min, -np.inf)) & (values <= _bound(feature.max, np.inf))
    if feature.type == "integer":
        fits &= values % 1 == 0
    return fits


def _bound(bound: float | date | None, otherwise: float) -> np.float32:
    """Return a bound as it would stand in a matrix: a day as its days after 1970-01-01."""
    number = otherwise if bound is None else float((bound - EPOCH).days) if isinstance(bound, date) else bound
    with np.errstate(over="ignore"):
        return np.float32(number)
