"""Small interfaces, shared by the tests of training."""

import numpy as np
import numpy.typing as npt
import pytest

from treadle.spec import BooleanFeature, CategoryFeature, Feature, Interface, NumberFeature, Target

FEATURES: tuple[Feature, ...] = (
    NumberFeature(name="age", type="integer", min=0, max=120),
    CategoryFeature(name="plan", type="category", categories=("basic", "plus", "pro")),
    NumberFeature(name="spend", type="number", required=False),
    BooleanFeature(name="member", type="boolean"),
)


Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]


def draw(count: int = 400, seed: int = 0) -> Rows:
    """Return rows for FEATURES with missing values and unseen categories, and a number that depends on all of them."""
    generator = np.random.default_rng(seed)
    age, plan = generator.integers(18, 90, count), generator.integers(0, 3, count)
    spend, member = np.round(generator.gamma(2, 50, count), 1), generator.integers(0, 2, count)
    value = age / 20 + plan * member + spend / 40 + generator.normal(0, 0.5, count)
    matrix = np.column_stack([age, plan, spend, member]).astype(np.float32)
    matrix[::17, 0] = matrix[::13, 2] = matrix[::19, 1] = matrix[::23, 3] = np.nan
    matrix[::11, 1] = -1
    return matrix, value


def classes_of(value: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Cut the value into classes of equal size."""
    return np.digitize(value, np.quantile(value, np.arange(1, count) / count)).astype(np.int64)


@pytest.fixture
def binary() -> Interface:
    return Interface(task="binary", target=Target(name="left", classes=("no", "yes")), features=FEATURES)


@pytest.fixture
def multiclass() -> Interface:
    return Interface(task="multiclass", target=Target(name="kind", classes=("a", "b", "c")), features=FEATURES)


@pytest.fixture
def regression() -> Interface:
    return Interface(task="regression", target=Target(name="price"), features=FEATURES)
