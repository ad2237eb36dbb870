"""Small interfaces, shared by the tests of training."""

import pytest

from treadle.spec import BooleanFeature, CategoryFeature, Feature, Interface, NumberFeature, Target

FEATURES: tuple[Feature, ...] = (
    NumberFeature(name="age", type="integer", min=0, max=120),
    CategoryFeature(name="plan", type="category", categories=("basic", "plus", "pro")),
    NumberFeature(name="spend", type="number", required=False),
    BooleanFeature(name="member", type="boolean"),
)


@pytest.fixture
def binary() -> Interface:
    return Interface(task="binary", target=Target(name="left", classes=("no", "yes")), features=FEATURES)


@pytest.fixture
def multiclass() -> Interface:
    return Interface(task="multiclass", target=Target(name="kind", classes=("a", "b", "c")), features=FEATURES)


@pytest.fixture
def regression() -> Interface:
    return Interface(task="regression", target=Target(name="price"), features=FEATURES)
