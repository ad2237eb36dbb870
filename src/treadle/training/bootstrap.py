"""How sure a measured value is: percentile intervals over resampled rows, and the paired difference of two models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from treadle.spec import Interface
from treadle.training.metrics import Floats, Labels, better, find

ROUNDS = 500
_CELLS = 2_000_000  # weights in memory at a time: 16 MB


@dataclass(frozen=True)
class Paired:
    """By how much model a is better than model b on the same ``n`` rows; positive means better, for errors too.

    ``low`` and ``high`` bound the interval; all three are NaN where the metric is not defined on the rows.
    """

    difference: float
    low: float
    high: float
    n: int


def interval(  # noqa: PLR0913 - a statistic needs its data and its settings
    metric: str, interface: Interface, y: Labels, scores: Floats, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the bootstrap interval of a metric on these rows; (NaN, NaN) where it is not defined on any resample.

    Raises:
        MetricUnknown: no such metric, or not for this task.
    """
    weighted = find(metric, interface).weighted
    wide = np.asarray(scores, dtype=np.float64)
    values = [weighted(y, wide, interface, weights) for weights in _resamples(len(y), rounds, seed)]
    return _percentiles(values, confidence)


def paired(  # noqa: PLR0913 - the same, for two models
    metric: str,
    interface: Interface,
    y: Labels,
    scores_a: Floats,
    scores_b: Floats,
    *,
    seed: int,
    confidence: float = 0.95,
    rounds: int = ROUNDS,
) -> Paired:
    """Return how much better a is than b when both scored the same rows; each resample counts the same rows for both.

    Raises:
        MetricUnknown: no such metric, or not for this task.
    """
    found, sign = find(metric, interface), better(metric)
    wide_a, wide_b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    differences = [
        sign * (found.weighted(y, wide_a, interface, weights) - found.weighted(y, wide_b, interface, weights))
        for weights in _resamples(len(y), rounds, seed)
    ]
    low, high = _percentiles(differences, confidence)
    return Paired(sign * (found(y, wide_a, interface) - found(y, wide_b, interface)), low, high, len(y))


def _resamples(n: int, rounds: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of weights, float64 [block, n]: how often each row was drawn, with replacement, in each round."""
    if not n:
        return
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // n)
    for start in range(0, rounds, block):
        size = min(block, rounds - start)
        drawn = generator.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def _percentiles(blocks: Sequence[Floats], confidence: float) -> tuple[float, float]:
    values = np.concatenate(blocks) if blocks else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
