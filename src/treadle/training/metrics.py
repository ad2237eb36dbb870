"""The metrics a version is measured by, each computed for many resamples of the rows at once.

A metric sees ``y`` (class indexes int64 [n], or values float64 [n]), ``scores`` (float [n, k], the output of the graph)
and ``weights`` (float64 [r, n]: how often each row counts in each of r resamples) and gives one value per resample,
float64 [r]. All of it is numpy, so that the controller can measure without loading a training library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from treadle.errors import MetricUnknown
from treadle.spec import Interface, Task

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Weighted = Callable[[Labels, Floats, Interface, Floats], Floats]

CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")
REGRESSION: tuple[Task, ...] = ("regression",)

_SMALLEST = float(np.finfo(np.float32).eps)  # a probability of 0 in float32 must not cost infinity


@dataclass(frozen=True)
class Metric:
    """One way to measure: ``weighted`` as above, the tasks that it fits, and which direction is better."""

    weighted: Weighted
    tasks: tuple[Task, ...]
    greater_is_better: bool = True

    def __call__(self, y: Labels, scores: Floats, interface: Interface) -> float:
        """Return the value on these rows, each counted once; NaN where it is not defined (no rows, one class for an AUC)."""
        if not len(y):
            return float("nan")
        return float(self.weighted(y, np.asarray(scores, dtype=np.float64), interface, np.ones((1, len(y))))[0])


def find(name: str, interface: Interface) -> Metric:
    """Return the metric of this name.

    Raises:
        MetricUnknown: there is none, or it does not fit the task.
    """
    if name not in METRICS or interface.task not in METRICS[name].tasks:
        raise MetricUnknown(name, interface.task, names(interface))
    return METRICS[name]


def names(interface: Interface) -> list[str]:
    """Return the names of the metrics that fit the task."""
    return [name for name, metric in METRICS.items() if interface.task in metric.tasks]


def better(name: str) -> int:
    """Return +1 where a greater value is better, -1 where a smaller one is."""
    return 1 if METRICS[name].greater_is_better else -1


def measure(interface: Interface, y: Labels, scores: Floats) -> dict[str, float]:
    """Return every metric of the task on these rows; one that is not defined on them is left out."""
    values = {name: METRICS[name](y, scores, interface) for name in names(interface)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def baseline_scores(interface: Interface, y_train: Labels, n: int) -> Floats:
    """Return what a model without features answers for ``n`` rows, float32 [n, k]: the classes' shares, or the mean."""
    if interface.task == "regression":
        row = np.array([np.mean(y_train)])
    else:
        row = np.bincount(y_train.astype(np.int64), minlength=interface.score_count) / len(y_train)
    return np.tile(row.astype(np.float32), (n, 1))


def _ratio(above: Floats, below: Floats, otherwise: float = np.nan) -> Floats:
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, otherwise), where=np.asarray(below) > 0)


def _mean(values: Floats, weights: Floats) -> Floats:
    return _ratio(weights @ values, weights.sum(axis=1))


def _accuracy(y: Labels, scores: Floats, _: Interface, weights: Floats) -> Floats:
    return _mean((scores.argmax(axis=1) == y).astype(np.float64), weights)


def _counts(y: Labels, scores: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return per resample and class how many rows are rightly predicted, predicted, and actual: [r, k] each."""
    classes = np.arange(scores.shape[1])
    actual = y[:, None] == classes
    predicted = scores.argmax(axis=1)[:, None] == classes
    return weights @ (actual & predicted), weights @ predicted, weights @ actual


def _macro(values: Floats, predicted: Floats, actual: Floats) -> Floats:
    """Average over the classes that were seen or predicted, as scikit-learn does."""
    present = (predicted + actual) > 0
    return _ratio((values * present).sum(axis=1), present.sum(axis=1))


def _by_class(value: Callable[[Floats, Floats, Floats], Floats], *, macro: bool = False) -> Weighted:
    """Make a metric of the counts per class: that of the positive class of a binary task, else the average over classes."""

    def weighted(y: Labels, scores: Floats, interface: Interface, weights: Floats) -> Floats:
        right, predicted, actual = _counts(y, scores, weights)
        values = value(right, predicted, actual)
        if interface.task == "binary" and not macro:
            return values[:, interface.positive_index]
        return _macro(values, predicted, actual)

    return weighted


def _precision(right: Floats, predicted: Floats, _: Floats) -> Floats:
    return _ratio(right, predicted, 0.0)


def _recall(right: Floats, _: Floats, actual: Floats) -> Floats:
    return _ratio(right, actual, 0.0)


def _f1(right: Floats, predicted: Floats, actual: Floats) -> Floats:
    return _ratio(2 * right, predicted + actual, 0.0)


def _tied(positive: npt.NDArray[np.bool_], score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weight of positives and of negatives per distinct score, ascending: [r, distinct] each."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    total = weights[:, order]
    return (
        np.add.reduceat(total * positive[order], starts, axis=1),
        np.add.reduceat(total * ~positive[order], starts, axis=1),
    )


def _auc(positives: Floats, negatives: Floats) -> Floats:
    below = np.cumsum(negatives, axis=1) - negatives
    won = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(won, positives.sum(axis=1) * negatives.sum(axis=1))


def _area_of_precision(positives: Floats, negatives: Floats) -> Floats:
    right = np.cumsum(positives[:, ::-1], axis=1)
    predicted = right + np.cumsum(negatives[:, ::-1], axis=1)
    gained = (positives[:, ::-1] * _ratio(right, predicted, 0.0)).sum(axis=1)
    return _ratio(gained, positives.sum(axis=1))


def _ranked(area: Callable[[Floats, Floats], Floats]) -> Weighted:
    """Make a metric of the order of the scores: of the positive class, or averaged over each class against the rest.

    A class without a row in a resample is left out of its average.
    """

    def weighted(y: Labels, scores: Floats, interface: Interface, weights: Floats) -> Floats:
        classes = [interface.positive_index] if interface.task == "binary" else range(scores.shape[1])
        values = np.stack([area(*_tied(y == index, scores[:, index], weights)) for index in classes])
        defined = np.isfinite(values)
        return _ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))

    return weighted


def _log_loss(y: Labels, scores: Floats, _: Interface, weights: Floats) -> Floats:
    chance = scores[np.arange(len(y)), y.astype(np.int64)]
    return _mean(-np.log(np.clip(chance, _SMALLEST, 1.0)), weights)


def _mae(y: Labels, scores: Floats, _: Interface, weights: Floats) -> Floats:
    return _mean(np.abs(y - scores[:, 0]), weights)


def _squared(y: Labels, scores: Floats, weights: Floats) -> Floats:
    return _mean((y - scores[:, 0]) ** 2, weights)


def _rmse(y: Labels, scores: Floats, _: Interface, weights: Floats) -> Floats:
    return np.sqrt(_squared(y, scores, weights))


def _r2(y: Labels, scores: Floats, _: Interface, weights: Floats) -> Floats:
    centred = y - y.mean()  # the variance of a resample, without the loss of digits of a large mean
    variance = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    return 1.0 - _ratio(_squared(y, scores, weights), variance)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy, CLASSIFICATION),
    "precision": Metric(_by_class(_precision), CLASSIFICATION),
    "recall": Metric(_by_class(_recall), CLASSIFICATION),
    "f1": Metric(_by_class(_f1), CLASSIFICATION),
    "f1_macro": Metric(_by_class(_f1, macro=True), CLASSIFICATION),
    "roc_auc": Metric(_ranked(_auc), CLASSIFICATION),
    "average_precision": Metric(_ranked(_area_of_precision), CLASSIFICATION),
    "log_loss": Metric(_log_loss, CLASSIFICATION, greater_is_better=False),
    "mae": Metric(_mae, REGRESSION, greater_is_better=False),
    "rmse": Metric(_rmse, REGRESSION, greater_is_better=False),
    "r2": Metric(_r2, REGRESSION),
}
"""Every metric by name. Precision, recall and f1 are those of the positive class, or the average over classes."""
