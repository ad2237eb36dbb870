"""Parity finds what plain rows do not show."""

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from tests.unit.training.conftest import classes_of, draw
from treadle.engine.session import Engine, Graph
from treadle.errors import InferenceFailed
from treadle.spec import Interface, Preprocessing
from treadle.training import converters, parity
from treadle.training.export import to_onnx
from treadle.training.pipeline import build_pipeline, scores_of


def model(interface: Interface, estimator: Any, seed: int = 0) -> Pipeline:
    matrix, value = draw(seed=seed)
    return build_pipeline(interface, estimator).fit(matrix, classes_of(value, 2))


def test_thresholds_rounded_to_nearest_are_found_although_plain_rows_agree(binary: Interface, monkeypatch: pytest.MonkeyPatch) -> None:
    coded = binary.model_copy(update={"preprocessing": Preprocessing(categories="codes")})
    pipeline = model(coded, LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1))
    monkeypatch.setattr(converters, "_down", lambda threshold: float(np.float32(threshold)))
    content, matrix = to_onnx(pipeline, coded), draw(40, seed=1)[0].round()
    plain = Engine(Graph("it", content, coded)).run(matrix)
    assert plain == pytest.approx(scores_of(pipeline, coded, matrix), abs=parity.TOLERANCE)
    found = parity.parity(pipeline, content, coded, matrix)
    assert found.share_beyond > 0.005
    assert found.max_difference > 0.001


def test_the_graph_of_another_model_is_found(binary: Interface) -> None:
    pipeline, other = (model(binary, RandomForestClassifier(10, random_state=1), seed) for seed in (0, 1))
    found = parity.parity(pipeline, to_onnx(other, binary), binary, draw(50)[0])
    assert found.share_beyond > 0.5
    assert found.label_agreement < 1


def test_the_hard_rows_reach_every_column(binary: Interface) -> None:
    pipeline = model(binary, GradientBoostingClassifier(n_estimators=5, random_state=0))
    matrix = draw(50)[0]
    content = to_onnx(pipeline, binary)
    found = parity.parity(pipeline, content, binary, matrix)
    splits = sum(tree.tree_.feature.tolist().count(feature) > 0 for tree in pipeline[-1].estimators_.ravel() for feature in range(3))
    assert found.rows > 50 + 5 * parity.COPIES + splits


def test_rows_stand_on_thresholds_even_where_numbers_are_scaled(binary: Interface) -> None:
    """Trees do not care about scale, so both pipelines decide at the same values of the matrix."""
    found = []
    for scale in (False, True):
        interface = binary.model_copy(update={"preprocessing": Preprocessing(scale=scale)})
        pipeline = model(interface, GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0))
        found.append(parity.thresholds(pipeline, to_onnx(pipeline, interface), [0, 2, 3]))
    plain, scaled = found
    assert set(plain) == set(scaled) <= {0, 2, 3}
    for column, values in plain.items():
        assert len(values)
        assert scaled[column] == pytest.approx(values, rel=1e-5)


def test_of_very_many_thresholds_some_are_left_out_evenly() -> None:
    picked = parity.evenly([float(value) for value in range(1000)], 5)
    assert picked.tolist() == [0, 249, 499, 749, 999]


def test_a_regression_is_judged_relative_to_its_value(regression: Interface) -> None:
    matrix, value = draw()
    pipeline = build_pipeline(regression, LinearRegression()).fit(matrix, value * 1e6)
    found = parity.parity(pipeline, to_onnx(pipeline, regression), regression, matrix)
    assert (found.share_beyond, found.label_agreement) == (0.0, 1.0)


@pytest.mark.parametrize("size", [1e6, 1e-6])
def test_a_wrong_value_is_found_whatever_the_size_of_the_values(regression: Interface, size: float) -> None:
    matrix, value = draw()
    right, wrong = (build_pipeline(regression, LinearRegression()).fit(matrix, size * (value + error)) for error in (0.0, 1e-2))
    found = parity.parity(right, to_onnx(wrong, regression), regression, matrix)
    assert (found.share_beyond, found.label_agreement) == (1.0, 0.0)


def test_the_noise_of_sums_is_no_difference_where_the_value_is_near_zero(regression: Interface, binary: Interface) -> None:
    scores = np.array([[-1e5], [1e5], [1e-3]])
    assert 0.1 / parity.smallest_scale(regression, scores) <= parity.TOLERANCE
    assert parity.smallest_scale(regression, np.ones((3, 1))) == parity.smallest_scale(binary, scores) == 1.0


def test_a_graph_with_other_scores_does_not_pass(binary: Interface, regression: Interface) -> None:
    matrix, value = draw()
    pipeline = build_pipeline(regression, LinearRegression()).fit(matrix, value)
    other = to_onnx(model(binary, RandomForestClassifier(2, random_state=0)), binary)
    with pytest.raises(InferenceFailed, match="scores have shape"):
        parity.parity(pipeline, other, regression, matrix)
