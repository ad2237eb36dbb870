"""How columns hang together: two features that say the same, and a feature that alone gives the target away.

Both are measured on a sample of the rows, from 0 (nothing) to 1 (everything).
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from treadle.data.validation.findings import Finding
from treadle.data.validation.table import Codes, Numbers, Table
from treadle.spec import Contract

FEWEST = 30
"""Fewest rows on which an association is measured."""

GROUPS = 256
"""Into how many groups of equal size a column with many values is cut."""

PER_GROUP = 20
"""How many rows a group should have at least."""

Judged = NDArray[np.int64] | NDArray[np.float64]
Score = Callable[[Codes, Judged, Codes, Judged], float]


def correlations(contract: Contract, table: Table) -> Iterator[Finding]:
    """Find pairs of features that say the same."""
    check = contract.policy.data.correlation
    if check.severity == "off" or len(table.looked_at) < FEWEST:
        return
    for one, other, how in associations(table):
        if how > check.limit:
            message = f"{one} and {other} say the same: their association is {how:.3f}, more than {check.limit:g}"
            yield Finding("correlation", check.severity, f"{one}, {other}", message, share=how)


def leaks(contract: Contract, scores: Mapping[str, float]) -> Iterator[Finding]:
    """Find features whose score, as ``target_scores`` gives it, is too good to be true."""
    check, target = contract.policy.data.leak, contract.interface.target.name
    for name, score in scores.items():
        if check.severity != "off" and score > check.limit:
            message = f"{name} alone tells {target}: its score is {score:.3f} of 1, more than {check.limit:g}"
            yield Finding("leak", check.severity, name, message, share=score)


def associations(table: Table) -> Iterator[tuple[str, str, float]]:
    """Yield each pair of features with the strength of their association.

    Two numbers: Spearman's rank correlation without its sign. Two categories: Tschuprow's T, which unlike Cramér's V is 1 only if
    each follows from the other. One of each: the correlation ratio of the ranks. Rows where either is missing do not count.
    """
    rows = table.looked_at
    various = [name for name in table.features if len(table.codes(name)[1]) > 1]
    numeric = [name for name in various if table.is_numeric(name)]
    ranks = DataFrame({name: table.numbers(name)[rows] for name in numeric}).rank()
    codes = {name: table.codes(name)[0][rows] for name in various if name not in numeric}
    between = ranks.corr(min_periods=FEWEST).abs() if len(numeric) > 1 else DataFrame()
    for one, other in combinations(various, 2):
        if one in codes and other in codes:
            how = tschuprows_t(codes[one], codes[other])
        elif one in codes or other in codes:
            category, number = (one, other) if one in codes else (other, one)
            how = correlation_ratio(codes[category], ranks[number].to_numpy())
        else:
            how = float(between[one].to_numpy()[numeric.index(other)])
        if np.isfinite(how):
            yield one, other, how


def tschuprows_t(one: Codes, other: Codes) -> float:
    """Return Tschuprow's T of two columns of codes, -1 for missing; NaN where it cannot be told."""
    known = (one >= 0) & (other >= 0)
    if known.sum() < FEWEST:
        return np.nan
    counts = _crossed(one[known], other[known])
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return np.nan
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    squared = float(((counts - expected) ** 2 / expected).sum())
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    return float(np.sqrt(squared / counts.sum() / np.sqrt(freedom)))


def correlation_ratio(codes: Codes, numbers: Numbers) -> float:
    """Return how much of the numbers' variance lies between the categories, as a square root; NaN where it cannot be told."""
    known = (codes >= 0) & np.isfinite(numbers)
    if known.sum() < FEWEST:
        return np.nan
    groups, values = codes[known], numbers[known]
    counts = np.bincount(groups)
    filled = counts > 0
    means = np.bincount(groups, values)[filled] / counts[filled]
    whole = float(((values - values.mean()) ** 2).sum())
    if whole == 0 or filled.sum() < 2 or filled.sum() > known.sum() / PER_GROUP:
        return np.nan
    return float(np.sqrt((counts[filled] * (means - values.mean()) ** 2).sum() / whole))


def target_scores(contract: Contract, table: Table) -> dict[str, float]:
    """Return for each feature how well it alone tells the target, on rows that this was not learned from.

    Rows with equal or similar values form a group. Half of them say what each group's target is; the other half is judged, and
    the other way round. Classes: the balanced accuracy, from chance (0) to all right (1). Numbers: the share of variance
    explained, of the ranks.
    """
    target = contract.interface.target.name
    rows = table.looked_at
    if target not in table or len(rows) < FEWEST:
        return {}
    rows = rows[~table.missing(target)[rows]]
    if contract.interface.task == "regression":
        judged: Any = pd.Series(table.numbers(target)[rows]).rank().to_numpy(dtype=np.float64)
        keep = np.isfinite(judged)
    else:
        judged = table.among(target, contract.interface.target.classes)[rows]
        keep = judged >= 0
    rows, judged = rows[keep], judged[keep]
    if len(rows) < FEWEST or len(np.unique(judged)) < 2:
        return {}
    score = _variance_told if contract.interface.task == "regression" else _classes_told
    return {name: max((_both_ways(groups, judged, score) for groups in _groups(table, name, rows)), default=0.0) for name in table.features}


def _both_ways(groups: Codes, judged: Judged, score: Score) -> float:
    half = len(groups) // 2
    learn, judge = slice(0, half), slice(half, None)
    there = score(groups[learn], judged[learn], groups[judge], judged[judge])
    back = score(groups[judge], judged[judge], groups[learn], judged[learn])
    return max(0.0, (there + back) / 2)


def _groups(table: Table, name: str, rows: NDArray[np.int64]) -> Iterator[Codes]:
    """Yield the group of each row: its value; and, where a number has many, the slice of equal size that it falls into."""
    values = np.unique(table.codes(name)[0][rows], return_inverse=True)[1].astype(np.int64)
    count = values.max(initial=0) + 1
    most = int(np.clip(len(rows) // (2 * PER_GROUP), 2, GROUPS))
    if count <= max(most, len(rows) // 2):
        yield values
    if table.is_numeric(name) and count > most:
        ranks = pd.Series(table.numbers(name)[rows]).rank(method="min", pct=True).to_numpy()
        yield np.where(np.isnan(ranks), most + 1, np.ceil(np.nan_to_num(ranks) * most)).astype(np.int64)


def _variance_told(learnt: Codes, known: Judged, groups: Codes, wanted: Judged) -> float:
    size = int(max(learnt.max(), groups.max())) + 1
    counts = np.bincount(learnt, minlength=size)
    means = np.where(counts > 0, np.bincount(learnt, known, minlength=size) / np.maximum(counts, 1), known.mean())
    whole = float(((wanted - wanted.mean()) ** 2).sum())
    return 1 - float(((wanted - means[groups]) ** 2).sum()) / whole if whole else 0.0


def _classes_told(learnt: Codes, known: Judged, groups: Codes, wanted: Judged) -> float:
    size = int(max(learnt.max(), groups.max())) + 1
    counts = _crossed(learnt, known.astype(np.int64), size)
    likely = counts / np.maximum(counts.sum(axis=0), 1)  # a rare class counts as much as a common one
    told = likely.argmax(axis=1)[groups]
    present = np.unique(wanted)
    if len(present) < 2:
        return 0.0
    right = float(np.mean([(told[wanted == label] == label).mean() for label in present]))
    return (right - 1 / len(present)) / (1 - 1 / len(present))


def _crossed(one: Codes, other: Codes, size: int | None = None) -> NDArray[np.float64]:
    """Return how often each value of one meets each value of the other."""
    height, width = size or int(one.max()) + 1, int(other.max()) + 1
    return np.bincount(one * width + other, minlength=height * width).reshape(height, width).astype(np.float64)
