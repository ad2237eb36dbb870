"""Iris: the floor that every iris model must reach, and its simulated meadow."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from tests.integration.projects.conftest import Bench
from treadle.data.split import split
from treadle.data.validate import check

pytestmark = pytest.mark.integration


@pytest.fixture
def iris(bench: Callable[..., Bench]) -> Bench:
    """Return iris's bench under the demo's policy."""
    return bench("iris", "demo")


@pytest.fixture
def flowers(iris: Bench) -> DataFrame:
    """Return the 150 flowers."""
    frame: DataFrame = iris.project.hook("load")(None)
    return frame


def test_the_flowers_keep_the_contract(iris: Bench, flowers: DataFrame) -> None:
    assert len(flowers) == 150
    assert check(iris.project.contract, flowers).problems == ()


def test_accuracy_is_at_least_090_on_the_split_of_seed_42(iris: Bench, flowers: DataFrame) -> None:
    parted = split(iris.interface, flowers, 42)
    assert len(parted.holdout) == 30
    model = iris.fit(flowers.iloc[parted.train], 42)
    assert iris.accuracy(model, flowers.iloc[parted.holdout]) >= 0.90


def test_any_measure_from_0_to_10_gets_probabilities(iris: Bench, flowers: DataFrame) -> None:
    model = iris.fit(flowers, 1)
    odd = pd.DataFrame([[value] * 4 for value in (0.0, 10.0, 0.1)], columns=list(iris.interface.feature_names))
    np.testing.assert_allclose(iris.scores(model, odd).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_before_the_dry_summer_nothing_has_changed(iris: Bench, flowers: DataFrame, seed: int) -> None:
    train = flowers.iloc[split(iris.interface, flowers, seed).train]
    model, world = iris.fit(train, seed), iris.project.hook("simulate")(flowers, seed)
    assert not any(iris.drift(model, train, world.draw(300), metric="accuracy").drifted for _ in range(5))
    assert iris.drift(model, train, world.draw(300, shifted=True), metric="accuracy").inputs_drifted


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_dry_summer_fools_the_old_model_and_not_a_new_one(iris: Bench, flowers: DataFrame, seed: int) -> None:
    old, world = iris.fit(flowers, seed), iris.project.hook("simulate")(flowers, seed)
    before, recent, fresh = world.draw(2000), world.draw(400, shifted=True), world.draw(2000, shifted=True)
    assert check(iris.project.contract, pd.concat([before, recent])).problems == ()
    assert iris.accuracy(old, before) > 0.93
    assert iris.accuracy(old, fresh) < 0.75
    assert iris.accuracy(iris.fit(recent, seed), fresh) > 0.9


def test_the_same_seed_grows_the_same_flowers(iris: Bench, flowers: DataFrame) -> None:
    simulate = iris.project.hook("simulate")
    pd.testing.assert_frame_equal(simulate(flowers, 3).draw(30), simulate(flowers, 3).draw(30))
