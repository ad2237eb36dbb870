"""Whether late labels say that a version has become worse. Pure: labelled rows in, a report out."""

from dataclasses import dataclass

import numpy as np

from treadle.spec import Interface, QualityPolicy
from treadle.training.bootstrap import interval
from treadle.training.metrics import Floats, Labels, better, find

CONFIDENCE = 0.95
SEED = 0
"""Of the resampling: the same rows give the same interval."""


@dataclass(frozen=True)
class QualityReport:
    """The metric over ``rows`` labelled rows, with its interval and the ``limit`` that the interval may not lie beyond.

    ``accuracy`` is given beside it for every classifier. Where it is not ``assessed`` (too few rows, or the metric is not defined
    on them) the values are None and nothing is bad.
    """

    metric: str
    rows: int
    limit: float | None
    reasons: tuple[str, ...]
    assessed: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    accuracy: float | None = None
    bad: bool = False


def assess(  # noqa: PLR0913 - what is judged, against what, and how thoroughly
    metric: str,
    interface: Interface,
    y: Labels,
    scores: Floats,
    sealed: float | None,
    policy: QualityPolicy,
    *,
    thorough: bool = True,
) -> QualityReport:
    """Compare a version's quality on labelled rows with what it showed when it was sealed.

    Args:
        metric: the name of the metric.
        interface: the version's interface.
        y: what was true: class indexes int64 [n], or values float64 [n].
        scores: what the version answered, float [n, k].
        sealed: the metric on the holdout, from the version's card; None if it could not be measured there.
        policy: limits and the smallest number of rows.
        thorough: whether the interval is wanted in any case. It takes most of the time, and where the value itself is not beyond the limit
            it is not needed to say that nothing is bad: resamples lie around the value.

    Raises:
        MetricUnknown: there is no such metric for this task.
    """
    sign, rows, limit = better(metric), len(y), policy.limit
    if limit is None and sealed is not None:
        limit = sealed - sign * policy.max_drop
    if limit is None:
        return QualityReport(metric, rows, None, (f"{metric} was not measured when the version was sealed, and quality.limit is not set.",))
    if rows < policy.min_rows:
        return QualityReport(metric, rows, limit, (f"{rows} labelled rows are too few to judge: quality.min_rows is {policy.min_rows}.",))
    value = find(metric, interface)(y, scores, interface)
    if not np.isfinite(value):
        return QualityReport(metric, rows, limit, (f"{metric} is not defined on these {rows} rows: all of them have one label.",))
    if not thorough and sign * (value - limit) >= 0:
        return QualityReport(
            metric, rows, limit, (f"{metric} is {value:.3f}, not beyond the limit {limit:.3f}.",), assessed=True, value=value
        )
    low, high = interval(metric, interface, y, scores, seed=SEED, confidence=CONFIDENCE)
    accuracy = None if interface.task == "regression" else find("accuracy", interface)(y, scores, interface)
    bad = high < limit if sign > 0 else low > limit
    side = "wholly beyond" if bad else "not wholly beyond"
    reason = (
        f"On {rows} labelled rows {metric} is {value:.3f} [{low:.3f}, {high:.3f}], {side} the limit {limit:.3f}"
        f"{'' if sealed is None else f'; at training it was {sealed:.3f}'}."
    )
    return QualityReport(metric, rows, limit, (reason,), assessed=True, value=value, low=low, high=high, accuracy=accuracy, bad=bad)
