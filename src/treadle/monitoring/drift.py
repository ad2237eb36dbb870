"""Whether what is asked and answered now still looks like what the version was trained on. Pure: counts in, a report out.

Every statistic is computed from counts over the bins that the version's profile froze at training. An effect size comes before
any p-value: with many rows everything is significant, with few rows everything is large.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from treadle.bundle.profile import CategoryColumn, Column, Layout, merged
from treadle.spec import DriftPolicy

Counts = npt.NDArray[np.int64]

BINS = 20
"""Merged bins for the effect sizes, which are biased by many fine ones."""

NAMED = 5
"""How many drifted features a sentence lists."""


@dataclass(frozen=True)
class FeatureDrift:
    """How far one column has moved.

    ``psi`` is the population stability index, less what chance alone adds to it; ``js`` the Jensen-Shannon distance (base 2, 0 to
    1); ``ks`` the Kolmogorov-Smirnov distance of a numeric column. ``p_value`` is that of KS, or of chi-squared for categories.
    """

    name: str
    kind: Literal["number", "category"]
    psi: float
    js: float
    ks: float | None
    p_value: float
    drifted: bool
    severe: bool


@dataclass(frozen=True)
class DriftReport:
    """What was found over ``rows`` rows. ``score`` is the importance-weighted share of drifted features, 0 to 1.

    Where there were too few rows nothing is ``assessed``: the score is 0 and no column is listed.
    """

    rows: int
    reasons: tuple[str, ...]
    prediction_reasons: tuple[str, ...] = ()
    assessed: bool = False
    score: float = 0.0
    features: tuple[FeatureDrift, ...] = ()
    prediction: tuple[FeatureDrift, ...] = ()
    inputs_drifted: bool = False
    prediction_drifted: bool = False

    @property
    def drifted(self) -> bool:
        """Whether the inputs or the predictions alarm."""
        return self.inputs_drifted or self.prediction_drifted


def assess(layout: Layout, reference: Counts, current: Counts, importances: Mapping[str, float], policy: DriftPolicy) -> DriftReport:
    """Compare the current window with the reference.

    Args:
        layout: the columns and bins of the version's profile.
        reference: counts of the reference rows, int64 [layout.size].
        current: counts of the window, over the same bins.
        importances: weight of each feature in the score; those without one, or below 0, weigh nothing. Where none weighs
            anything all weigh the same.
        policy: limits and the smallest window.
    """
    rows = int(current[: layout.columns[0].slots].sum())
    if rows < policy.min_rows:
        return DriftReport(rows, reasons=(f"{rows} rows are too few to judge: drift.min_rows is {policy.min_rows}.",))
    level = policy.alpha / len(layout.columns)
    before, now = layout.split(reference), layout.split(current)
    features, prediction = (
        tuple(_compare(column, before[column.name], now[column.name], policy, level) for column in columns)
        for columns in (layout.features, layout.outputs)
    )
    score = _score(features, importances)
    return DriftReport(
        rows=rows,
        assessed=True,
        score=score,
        features=features,
        prediction=prediction,
        inputs_drifted=score > policy.score or any(one.severe for one in features),
        prediction_drifted=any(one.drifted for one in prediction),
        reasons=tuple(_reasons(rows, score, features, policy)),
        prediction_reasons=tuple(_prediction_reasons(prediction, policy)),
    )


def stability_index(reference: Counts, current: Counts) -> float:
    """Return the population stability index of two vectors of counts, less its expectation when nothing has changed.

    That expectation is (bins - 1)(1/n + 1/m); the result is not below 0. Half a row is added to each bin, so that an empty one
    does not cost infinity.
    """
    n, m, bins = reference.sum(), current.sum(), len(reference)
    if not n or not m:
        return 0.0
    expected, actual = (reference + 0.5) / (n + bins / 2), (current + 0.5) / (m + bins / 2)
    index = np.sum((actual - expected) * np.log(actual / expected))
    return max(0.0, float(index - (bins - 1) * (1 / n + 1 / m)))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Return the Jensen-Shannon distance, base 2, between 0 (the same) and 1 (nothing in common)."""
    if not reference.sum() or not current.sum():
        return 0.0
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = sum(np.sum(part[part > 0] * np.log2(part[part > 0] / middle[part > 0])) for part in (p, q)) / 2
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def kolmogorov_smirnov(reference: Counts, current: Counts) -> tuple[float, float]:
    """Return the largest distance of the two distribution functions at the bins' edges, and its asymptotic p-value.

    The counts are those of a numeric column, the slot for missing values last; a missing value counts as smaller than any
    other, so that a change in what is missing is seen too.
    """
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return 0.0, 1.0
    below = [np.cumsum(np.roll(counts, 1)) / counts.sum() for counts in (reference, current)]
    distance = float(np.abs(below[0] - below[1]).max())
    return distance, float(stats.kstwo.sf(distance, max(1, round(n * m / (n + m)))))


def chi_squared(reference: Counts, current: Counts) -> float:
    """Return the p-value of Pearson's test that both vectors of counts come from the same shares."""
    table = np.stack([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _compare(column: Column, reference: Counts, current: Counts, policy: DriftPolicy, level: float) -> FeatureDrift:
    ks: float | None
    if isinstance(column, CategoryColumn):
        seen = (reference + current) > 0
        coarse = reference[seen], current[seen]
        kind: Literal["number", "category"] = "category"
        ks, p_value = None, chi_squared(reference, current)
    else:
        coarse = merged(reference, current, BINS)
        kind = "number"
        ks, p_value = kolmogorov_smirnov(reference, current)
    psi = stability_index(*coarse)
    significant = p_value < level
    return FeatureDrift(
        name=column.name,
        kind=kind,
        psi=psi,
        js=jensen_shannon(*coarse),
        ks=ks,
        p_value=p_value,
        drifted=significant and psi >= policy.effect,
        severe=significant and psi >= policy.severe,
    )


def _score(features: Sequence[FeatureDrift], importances: Mapping[str, float]) -> float:
    weights = np.array([max(0.0, importances.get(one.name, 0.0)) for one in features])
    if not weights.sum():
        weights = np.ones(len(features))
    return float(weights @ [one.drifted for one in features] / weights.sum())


def _reasons(rows: int, score: float, features: Sequence[FeatureDrift], policy: DriftPolicy) -> Iterator[str]:
    drifted = sorted((one for one in features if one.drifted), key=lambda one: -one.psi)
    names = ", ".join(one.name for one in drifted[:NAMED]) + (f" and {len(drifted) - NAMED} more" if len(drifted) > NAMED else "")
    moved = f"{len(drifted)} of {len(features)} features have drifted" + (f" ({names})" if drifted else "")
    side = "above" if score > policy.score else "not above"
    yield f"Over {rows} rows {moved}; weighted by importance the score is {score:.2f}, {side} {policy.score:g} (drift.score)."
    for one in drifted:
        if one.severe:
            yield f"{one.name} alone alarms: its stability index is {one.psi:.2f}, at or above {policy.severe:g} (drift.severe)."


def _prediction_reasons(prediction: Sequence[FeatureDrift], policy: DriftPolicy) -> Iterator[str]:
    for one in prediction:
        if one.drifted:
            yield f"The model's {one.name} has drifted: its stability index is {one.psi:.2f}, at or above {policy.effect:g} (drift.effect)."
