"""Nothing that is held out is learned from, and what is measured is measured on unseen rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from tests.unit.training.conftest import classes_of, draw
from treadle.data.frame import matrix as encoded
from treadle.data.split import Split
from treadle.errors import ClassUnseen
from treadle.spec import Contract, Interface, SimulatedSource
from treadle.training import metrics
from treadle.training.export import to_onnx
from treadle.training.fit import Rows, fit, fit_rows
from treadle.training.pipeline import scores_of

COUNT = 300


def contract(interface: Interface) -> Contract:
    return Contract(name="thing", data=(SimulatedSource(kind="simulated"),), interface=interface)


def forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(8, max_depth=4, random_state=seed)


def rows_of(y: Any, matrix: Any) -> Rows:
    train, holdout = np.arange(200), np.arange(200, COUNT)
    return Rows(matrix, y, Split(train, holdout, ((train[:100], train[100:]), (train[100:], train[:100]))))


def test_neither_rows_nor_labels_of_the_holdout_influence_the_model(binary: Interface) -> None:
    matrix, value = draw(COUNT)
    y = classes_of(value, 2)
    other_y, other = y.copy(), matrix.copy()
    other_y[200:] = np.random.default_rng(1).permutation(y[200:])
    other[200:] *= 1000
    first = fit_rows(contract(binary), forest, rows_of(y, matrix), seed=3)
    graph = to_onnx(first.pipeline, binary)
    for changed in (rows_of(other_y, matrix), rows_of(y, other)):
        again = fit_rows(contract(binary), forest, changed, seed=3)
        assert to_onnx(again.pipeline, binary) == graph
        assert again.metrics != first.metrics
        assert again.cv == first.cv
    other_y[0] = 1 - y[0]
    assert to_onnx(fit_rows(contract(binary), forest, rows_of(other_y, matrix), seed=3).pipeline, binary) != graph


def test_what_is_measured_is_measured_on_the_holdout(binary: Interface) -> None:
    matrix, value = draw(COUNT)
    y = classes_of(value, 2)
    found = fit_rows(contract(binary), forest, rows_of(y, matrix), seed=3)
    assert found.metrics == metrics.measure(binary, y[200:], scores_of(found.pipeline, binary, matrix[200:]))
    assert found.baseline["roc_auc"] == 0.5
    low, high = found.intervals["roc_auc"]
    assert low < found.metrics["roc_auc"] < high
    assert set(found.cv["roc_auc"]) == {"mean", "std"}
    assert sum(found.importances.values()) == pytest.approx(1)


def test_every_row_has_a_score_from_a_model_that_did_not_see_it(binary: Interface) -> None:
    matrix, value = draw(COUNT)
    noise = np.random.default_rng(5).permutation(classes_of(value, 2))

    def memory(seed: int) -> RandomForestClassifier:
        return RandomForestClassifier(30, random_state=seed)

    found = fit_rows(contract(binary), memory, rows_of(noise, matrix), seed=3)
    positions, scores = found.scored
    assert sorted(positions) == list(range(COUNT))
    assert scores.dtype == np.float32
    remembered = scores_of(found.pipeline, binary, matrix)
    auc = metrics.METRICS["roc_auc"]
    assert auc(noise, remembered, binary) > 0.85  # the rows it has learned by heart
    assert auc(noise[positions], scores, binary) == pytest.approx(0.5, abs=0.12)


def test_a_class_without_training_rows_is_refused(multiclass: Interface) -> None:
    matrix, value = draw(COUNT)
    y = classes_of(value, 2)
    with pytest.raises(ClassUnseen, match="None of the 200 training rows is of the class 'c'"):
        fit_rows(contract(multiclass), forest, rows_of(y, matrix), seed=3)


def test_a_fold_that_lacks_a_class_is_left_out(binary: Interface) -> None:
    matrix, value = draw(COUNT)
    y = classes_of(value, 2)
    y[:100] = 0
    found = fit_rows(contract(binary), forest, rows_of(y, matrix), seed=3)
    assert len(found.scored[0]) == COUNT - 100
    assert "roc_auc" not in found.cv  # the fold that is left is judged on rows of one class


def test_a_frame_is_encoded_split_and_fitted(regression: Interface) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 90, 200),
            "plan": generator.choice(["basic", "plus", "pro"], 200),
            "spend": generator.random(200),
            "member": generator.random(200) < 0.5,
        }
    )
    frame["price"] = frame["age"] * 2.0 + 5
    found = fit(contract(regression), lambda _: LinearRegression(), frame, seed=1)
    assert found.metrics["r2"] == pytest.approx(1)
    assert found.importances["age"] > 0.99
    assert len(found.rows.split.holdout) == 40
    assert (found.rows.matrix == encoded(regression, frame)).all()
