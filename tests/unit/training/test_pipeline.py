"""What a row becomes before the estimator sees it."""

from typing import Literal

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from treadle.spec import CategoryFeature, Interface, NumberFeature, Preprocessing, Target
from treadle.training.pipeline import PREPARE, build_pipeline, columns

NAN = float("nan")


def prepared(interface: Interface, rows: list[list[float]], row: list[float]) -> list[float]:
    """Return what ``row`` becomes in a pipeline fitted on ``rows``."""
    matrix = np.array(rows, dtype=np.float32)
    pipeline = build_pipeline(interface, DummyRegressor()).fit(matrix, np.zeros(len(matrix)))
    prepared = pipeline.named_steps[PREPARE].transform(np.array([row], dtype=np.float32))
    assert prepared.dtype == np.float32
    return [float(value) for value in prepared[0]]


def with_(interface: Interface, **preprocessing: object) -> Interface:
    return interface.model_copy(update={"preprocessing": Preprocessing.model_validate(preprocessing)})


ROWS: list[list[float]] = [[20, 0, 1, 0], [30, 1, 3, 1], [70, 2, 8, 1]]


def test_numbers_and_booleans_come_first_then_categories(regression: Interface) -> None:
    assert columns(regression) == ([0, 2, 3], [1])
    assert prepared(with_(regression, categories="codes"), ROWS, [41, 2, 5, 1]) == [41, 5, 1, 2]
    assert prepared(regression, ROWS, [41, 2, 5, 1]) == [41, 5, 1, 0, 0, 1]


@pytest.mark.parametrize(("how", "values"), [("median", [30, 3, 1]), ("mean", [40, 4, 2 / 3]), ("zero", [0, 0, 0])])
def test_a_missing_number_becomes_what_the_contract_says(
    regression: Interface, how: Literal["median", "mean", "zero"], values: list[float]
) -> None:
    assert prepared(with_(regression, impute=how), ROWS, [NAN, 0, NAN, NAN])[:3] == pytest.approx(values)


def test_a_missing_category_is_an_unseen_one(regression: Interface) -> None:
    for code in (-1, NAN):
        assert prepared(regression, ROWS, [20, code, 1, 0])[3:] == [0, 0, 0]
        assert prepared(with_(regression, categories="codes"), ROWS, [20, code, 1, 0])[3:] == [-1]


def test_the_columns_do_not_depend_on_what_the_training_rows_hold(regression: Interface) -> None:
    empty: list[list[float]] = [[NAN, NAN, NAN, NAN], [NAN, 1, NAN, NAN]]
    assert prepared(regression, empty, [NAN, 2, 7, 1]) == [0, 7, 1, 0, 0, 1]


def test_scaling_standardises_the_numbers(regression: Interface) -> None:
    assert prepared(with_(regression, scale=True), ROWS, [40, 0, 4, 1])[:2] == pytest.approx([0, 0])


def test_a_contract_may_have_numbers_alone_or_categories_alone() -> None:
    number = Interface(task="regression", target=Target(name="y"), features=(NumberFeature(name="x", type="number"),))
    category = number.model_copy(update={"features": (CategoryFeature(name="c", type="category", categories=("p", "q")),)})
    assert prepared(number, [[1], [2]], [3]) == [3]
    assert prepared(category, [[0], [1]], [1]) == [0, 1]
