"""Columns that know the answer: equal to the target, or a function of it, or filled in only once it is known. Pure."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import Series

from treadle.drafting.sights import Sight

Leak = Literal["", "near", "exact"]

NEAR = 0.98
"""Share of what there is to know about the target that one column may tell before it is suspicious."""
EXACT = 0.9999
GROUPS = 50
"""Numbers with more different values are cut into so many groups of equally many rows."""
GROUP_ROWS = 5
"""Groups smaller than this on average tell the target by chance."""

Floats = NDArray[np.floating[Any]]


def leak(sight: Sight, target: "Series[Any]", *, classes: bool) -> tuple[Leak, str]:
    """Return whether a column gives the target away, and how, as a phrase.

    Args:
        sight: the column.
        target: the class or the number of each row, without NA.
        classes: whether the target has classes.
    """
    found = filled_in(sight, target, classes=classes)
    if found[0]:
        return found
    share = _told_by(sight, target, classes=classes)
    if share >= EXACT:
        return "exact", "it tells the target of every row"
    if share >= NEAR:
        return "near", f"by itself it tells {share:.1%} of what there is to know about the target"
    return "", ""


def filled_in(sight: Sight, target: "Series[Any]", *, classes: bool) -> tuple[Leak, str]:
    """Return whether it tells the class of a row that the column has a value there."""
    missing = sight.cells.isna()
    if classes and missing.any() and told(missing.astype(int), target) >= NEAR:
        return "exact", "whether it is filled in tells the target; it seems to be written down afterwards"
    return "", ""


def told(groups: "Series[Any]", target: "Series[Any]") -> float:
    """Return how much less often the commonest class of each group is wrong than that of all rows: 1 is never, 0 as often."""
    table = pd.crosstab(groups.to_numpy(), target.to_numpy()).to_numpy()
    wrong = table.sum() - table.sum(axis=0).max()
    return float(1 - (table.sum() - table.max(axis=1).sum()) / wrong) if wrong else 0.0


def _told_by(sight: Sight, target: "Series[Any]", *, classes: bool) -> float:
    if sight.kind == "nested":
        return 0.0
    if not classes:
        return _correlated(sight, target.astype("float64")) if sight.kind in {"number", "date"} else 0.0
    groups = _groups(sight)
    share = told(groups, target) if groups.nunique() * GROUP_ROWS <= len(groups) else 0.0
    return max(share, _ordered(sight, target)) if target.nunique() == 2 and sight.kind in {"number", "date"} else share


def _ordered(sight: Sight, target: "Series[Any]") -> float:
    """Return how much of two classes the order of the numbers tells: 1 when all of one stand before all of the other."""
    known = sight.cells.notna()
    ranks, first = sight.cells[known].rank().to_numpy(), (target[known] == target.iloc[0]).to_numpy()
    one, other = int(first.sum()), int((~first).sum())
    if not one or not other or known.sum() < len(known) / 2:
        return 0.0
    area = (ranks[first].sum() - one * (one + 1) / 2) / (one * other)
    return float(abs(2 * area - 1))


def _groups(sight: Sight) -> "Series[Any]":
    if sight.kind in {"number", "date"} and sight.different > GROUPS:
        numbers = sight.cells.rank(pct=True, method="average")
        return (numbers * GROUPS).fillna(-1).astype(int)
    codes, _ = pd.factorize(sight.cells.astype(object).where(sight.cells.notna(), None), use_na_sentinel=False)
    return Series(codes)


def _correlated(sight: Sight, target: "Series[float]") -> float:
    """Return the square of the correlation of values or of ranks, whichever is larger."""
    values = sight.cells.astype("float64") if sight.kind == "number" else _seconds(sight.cells)
    known = values.notna()
    if known.sum() < len(values) / 2 or values[known].nunique() < 3:
        return 0.0
    x, y = values[known].to_numpy(), target[known].to_numpy()
    return float(max(_square(x, y), _square(Series(x).rank().to_numpy(), Series(y).rank().to_numpy())))


def _seconds(values: "Series[Any]") -> "Series[float]":
    seconds: Series[float] = (values.dt.tz_localize(None) - pd.Timestamp(0)).dt.total_seconds()
    return seconds


def _square(x: Floats, y: Floats) -> float:
    return float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() and y.std() else 0.0
