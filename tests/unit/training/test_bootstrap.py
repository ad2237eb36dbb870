"""Intervals hold what they claim, pairs cancel what both models share, and both are quick and repeatable."""

import math
from time import process_time

import numpy as np
import pytest

from treadle.spec import Interface
from treadle.training import metrics
from treadle.training.bootstrap import interval, paired


def some(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, n)
    high = 1 / (1 + np.exp(-(y - 0.5 + generator.normal(0, noise, n))))
    return y, np.column_stack([1 - high, high]).astype(np.float32)


def test_the_interval_holds_the_value_and_narrows_with_rows(binary: Interface) -> None:
    widths = []
    for n in (200, 5000):
        y, scores = some(n, 1.0)
        low, high = interval("roc_auc", binary, y, scores, seed=3)
        assert low < metrics.METRICS["roc_auc"](y, scores, binary) < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 5, rel=0.4)


def test_the_interval_covers_the_truth_as_often_as_it_says(binary: Interface) -> None:
    truth = metrics.METRICS["accuracy"](*some(200_000, 1.0, seed=99), binary)
    bounds = [interval("accuracy", binary, *some(150, 1.0, seed), seed=seed, confidence=0.9, rounds=200) for seed in range(200)]
    covered = np.mean([low <= truth <= high for low, high in bounds])
    assert 0.83 <= covered <= 0.96


def test_every_resample_has_as_many_rows_as_the_data(regression: Interface) -> None:
    y = np.arange(40.0)
    low, high = interval("mae", regression, y, (y - 2)[:, None], seed=1)
    assert (low, high) == (2.0, 2.0)


def test_positive_means_a_is_better_whatever_the_direction(binary: Interface, regression: Interface) -> None:
    y, good = some(400, 0.5)
    bad = some(400, 0.5, seed=1)[1]
    assert paired("roc_auc", binary, y, good, bad, seed=0).low > 0
    assert paired("log_loss", binary, y, good, bad, seed=0).low > 0
    value = np.arange(50.0)
    assert paired("rmse", regression, value, value[:, None] + 3, value[:, None] + 1, seed=0).difference == pytest.approx(-2)


def test_a_model_against_itself_differs_by_nothing(binary: Interface) -> None:
    y, scores = some(100, 1.0)
    found = paired("roc_auc", binary, y, scores, scores, seed=5)
    assert (found.difference, found.low, found.high, found.n) == (0.0, 0.0, 0.0, 100)


def test_pairing_cancels_what_both_share(binary: Interface) -> None:
    y, scores = some(1000, 1.5)
    nudged = np.clip(scores + np.random.default_rng(2).normal(0, 0.01, scores.shape), 0, 1)
    low, high = interval("roc_auc", binary, y, scores, seed=0)
    pair = paired("roc_auc", binary, y, scores, nudged, seed=0)
    assert pair.high - pair.low < (high - low) / 5


def test_the_seed_decides_and_blocks_do_not_matter(binary: Interface, monkeypatch: pytest.MonkeyPatch) -> None:
    y, scores = some(300, 1.0)
    whole = interval("roc_auc", binary, y, scores, seed=8)
    assert interval("roc_auc", binary, y, scores, seed=9) != whole
    monkeypatch.setattr("treadle.training.bootstrap._CELLS", 1000)
    assert interval("roc_auc", binary, y, scores, seed=8) == whole


def test_where_nothing_is_defined_the_bounds_are_nan(binary: Interface) -> None:
    y, scores = np.zeros(5, dtype=np.int64), some(5, 1.0)[1]
    assert all(map(math.isnan, interval("roc_auc", binary, y, scores, seed=0)))
    assert math.isnan(paired("roc_auc", binary, y, scores, scores, seed=0).low)
    assert all(map(math.isnan, interval("accuracy", binary, y[:0], scores[:0], seed=0)))


def test_five_hundred_rounds_of_two_thousand_rows_are_quick(binary: Interface) -> None:
    y, scores = some(2000, 1.0)
    start = process_time()
    interval("roc_auc", binary, y, scores, seed=0)
    assert process_time() - start < 1.0
