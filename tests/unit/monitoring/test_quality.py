import numpy as np
import pytest

from treadle.monitoring.quality import assess
from treadle.spec import Interface, NumberFeature, QualityPolicy, Target
from treadle.training.metrics import Floats, Labels

FEATURES = (NumberFeature(name="x", type="number"),)
BINARY = Interface(task="binary", target=Target(name="left", classes=("no", "yes")), features=FEATURES)
REGRESSION = Interface(task="regression", target=Target(name="price"), features=FEATURES)
POLICY = QualityPolicy(min_rows=200, max_drop=0.05)


def rows(n: int, signal: float, seed: int = 0) -> tuple[Labels, Floats]:
    """Return labels and the scores of a model that separates them by so much (in standard deviations)."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=n) < 0.3).astype(np.int64)
    chance = 1 / (1 + np.exp(-(rng.normal(size=n) + signal * y)))
    return y, np.stack([1 - chance, chance], axis=1)


def test_quality_as_at_training_is_good() -> None:
    report = assess("roc_auc", BINARY, *rows(2000, 1.4), 0.84, POLICY)
    assert report.assessed
    assert not report.bad
    assert report.low is not None
    assert report.high is not None
    assert report.value is not None
    assert report.low < report.value < report.high
    assert report.limit == pytest.approx(0.79)
    assert report.accuracy == pytest.approx(np.mean(rows(2000, 1.4)[1].argmax(axis=1) == rows(2000, 1.4)[0]))
    assert "not wholly beyond the limit 0.790; at training it was 0.840" in report.reasons[0]


def test_quality_whose_interval_lies_below_the_drop_is_bad() -> None:
    report = assess("roc_auc", BINARY, *rows(1000, 0.2), 0.84, POLICY)
    assert report.bad
    assert report.high is not None
    assert report.limit is not None
    assert report.high < report.limit


def test_a_bad_value_that_chance_may_explain_is_not_bad() -> None:
    y, scores = rows(200, 0.9, seed=3)
    report = assess("roc_auc", BINARY, y, scores, 0.84, POLICY)
    assert report.value is not None
    assert report.limit is not None
    assert report.value < report.limit
    assert not report.bad


def test_a_limit_of_the_policy_comes_before_the_drop() -> None:
    policy = POLICY.model_copy(update={"limit": 0.95})
    report = assess("roc_auc", BINARY, *rows(2000, 1.4), 0.84, policy)
    assert report.limit == 0.95
    assert report.bad


def test_a_metric_that_was_not_sealed_needs_a_limit() -> None:
    report = assess("roc_auc", BINARY, *rows(500, 1.4), None, POLICY)
    assert (report.assessed, report.limit) == (False, None)
    assert "was not measured when the version was sealed" in report.reasons[0]
    judged = assess("roc_auc", BINARY, *rows(500, 0.0), None, POLICY.model_copy(update={"limit": 0.8}))
    assert judged.bad
    assert judged.reasons[0].endswith("wholly beyond the limit 0.800.")


def test_a_larger_error_is_worse() -> None:
    y = np.random.default_rng(1).normal(100, 10, 500)
    scores = (y + np.random.default_rng(2).normal(0, 4, 500))[:, None]
    assert not assess("rmse", REGRESSION, y, scores, 4.0, QualityPolicy(max_drop=1.0)).bad
    report = assess("rmse", REGRESSION, y, scores, 2.0, QualityPolicy(max_drop=1.0))
    assert report.bad
    assert report.limit == 3.0
    assert report.accuracy is None


def test_few_rows_are_not_judged() -> None:
    report = assess("roc_auc", BINARY, *rows(199, 0.0), 0.84, POLICY)
    assert (report.rows, report.assessed, report.value, report.bad) == (199, False, None, False)
    assert report.reasons == ("199 labelled rows are too few to judge: quality.min_rows is 200.",)


def test_a_metric_that_is_not_defined_is_not_judged() -> None:
    y, scores = rows(300, 1.0)
    report = assess("roc_auc", BINARY, np.zeros_like(y), scores, 0.84, POLICY)
    assert not report.assessed
    assert "not defined" in report.reasons[0]


def test_the_same_rows_give_the_same_interval() -> None:
    assert assess("roc_auc", BINARY, *rows(500, 1.0), 0.84, POLICY) == assess("roc_auc", BINARY, *rows(500, 1.0), 0.84, POLICY)
