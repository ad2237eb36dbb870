"""A feature matters as much as the metric loses without it."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from tests.unit.training.conftest import classes_of, draw
from treadle.spec import Interface
from treadle.training.importance import importances
from treadle.training.pipeline import build_pipeline


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_the_feature_that_decides_has_all_the_weight(binary: Interface, metric: str) -> None:
    matrix, _ = draw()
    y = (np.nan_to_num(matrix[:, 0]) > 50).astype(np.int64)
    pipeline = build_pipeline(binary, LogisticRegression(max_iter=5000)).fit(matrix[:200], y[:200])
    found = importances(pipeline, binary, metric, (matrix[200:], y[200:]), seed=0)
    assert found["age"] > 0.9
    assert all(share >= 0 for share in found.values())


def test_an_error_that_grows_counts_as_a_loss(regression: Interface) -> None:
    matrix, _ = draw()
    value = np.nan_to_num(matrix[:, 2]).astype(np.float64)
    pipeline = build_pipeline(regression, LinearRegression()).fit(matrix, value)
    assert importances(pipeline, regression, "rmse", (matrix, value), seed=0)["spend"] > 0.9


def test_where_nothing_matters_all_weigh_the_same_and_the_seed_decides(binary: Interface) -> None:
    matrix, value = draw()
    y = classes_of(value, 2)
    pipeline = build_pipeline(binary, DummyClassifier()).fit(matrix, y)
    assert set(importances(pipeline, binary, "roc_auc", (matrix, y), seed=0).values()) == {0.25}
    learned = build_pipeline(binary, LogisticRegression(max_iter=5000)).fit(matrix, y)
    shares = [importances(learned, binary, "roc_auc", (matrix, y), seed=seed) for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]
