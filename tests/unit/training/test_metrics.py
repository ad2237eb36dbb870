"""Every metric agrees with scikit-learn's, and knows where it is not defined."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import MetricUnknown
from treadle.spec import METRICS as NAMED
from treadle.spec import Interface, NumberFeature, Target
from treadle.training import metrics

BINARY = Interface(task="binary", target=Target(name="y", classes=("no", "yes")), features=(NumberFeature(name="x", type="number"),))
FIRST = BINARY.model_copy(update={"target": Target(name="y", classes=("yes", "no"), positive="yes")})


def scores_of(positive: list[float]) -> np.ndarray:
    high = np.array(positive, dtype=np.float32)
    return np.column_stack([1 - high, high])


rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60)
both_classes = rows.filter(lambda some: len({label for label, _ in some}) == 2)


@given(both_classes)
@settings(max_examples=40)
def test_binary_metrics_are_those_of_sklearn_even_with_many_ties(some: list[tuple[bool, int]]) -> None:
    y = np.array([int(label) for label, _ in some])
    scores = scores_of([step / 8 for _, step in some])
    high, answer = scores[:, 1].astype(float), scores.argmax(axis=1)
    wanted = {
        "accuracy": reference.accuracy_score(y, answer),
        "precision": reference.precision_score(y, answer, zero_division=0),
        "recall": reference.recall_score(y, answer, zero_division=0),
        "f1": reference.f1_score(y, answer, zero_division=0),
        "f1_macro": reference.f1_score(y, answer, average="macro", zero_division=0),
        "roc_auc": reference.roc_auc_score(y, high),
        "average_precision": reference.average_precision_score(y, high),
        "log_loss": reference.log_loss(y, scores),
    }
    assert metrics.measure(BINARY, y, scores) == pytest.approx(wanted, rel=1e-5, abs=2e-7)


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "roc_auc", "average_precision"])
def test_the_positive_class_may_be_the_first(name: str) -> None:
    generator = np.random.default_rng(4)
    y, scores = generator.integers(0, 2, 80), scores_of(list(generator.random(80)))
    turned = metrics.METRICS[name](1 - y, scores[:, ::-1], FIRST)
    assert turned == metrics.METRICS[name](y, scores, BINARY)


def test_multiclass_metrics_average_over_classes(multiclass: Interface) -> None:
    generator = np.random.default_rng(7)
    y = generator.integers(0, 3, 200)
    scores = generator.dirichlet([1, 1, 1], 200)
    found = metrics.measure(multiclass, y, scores)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(y, scores, multi_class="ovr"))
    assert found["precision"] == pytest.approx(reference.precision_score(y, scores.argmax(axis=1), average="macro"))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(y, scores.argmax(axis=1), average="macro"))
    assert found["average_precision"] == pytest.approx(reference.average_precision_score(np.eye(3)[y], scores, average="macro"))


def test_a_class_without_rows_is_left_out_of_the_average(multiclass: Interface) -> None:
    y, scores = np.array([0, 0, 1, 1]), np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.7, 0.2, 0.1]])
    assert metrics.METRICS["roc_auc"](y, scores, multiclass) == pytest.approx(
        np.mean([reference.roc_auc_score(y == index, scores[:, index]) for index in (0, 1)])
    )


def test_regression_metrics_are_those_of_sklearn(regression: Interface) -> None:
    generator = np.random.default_rng(1)
    y = generator.normal(1e5, 3, 50)
    scores = (y + generator.normal(0, 1, 50))[:, None]
    wanted = {
        "mae": reference.mean_absolute_error(y, scores),
        "rmse": reference.root_mean_squared_error(y, scores),
        "r2": reference.r2_score(y, scores),
    }
    assert metrics.measure(regression, y, scores) == pytest.approx(wanted)


def test_what_is_not_defined_is_left_out(binary: Interface, regression: Interface) -> None:
    one_class = metrics.measure(binary, np.zeros(3, dtype=np.int64), scores_of([0.1, 0.2, 0.3]))
    assert "roc_auc" not in one_class
    assert one_class["accuracy"] == 1.0
    assert metrics.measure(binary, np.empty(0, dtype=np.int64), scores_of([])) == {}
    assert "r2" not in metrics.measure(regression, np.array([2.0, 2.0]), np.array([[1.0], [2.0]]))


def test_direction_and_names(binary: Interface, regression: Interface) -> None:
    assert metrics.better("roc_auc") == 1
    assert metrics.better("rmse") == -1
    assert metrics.names(regression) == ["mae", "rmse", "r2"]
    with pytest.raises(MetricUnknown, match="'rmse' is not a metric of a binary model: choose from accuracy"):
        metrics.find("rmse", binary)
    with pytest.raises(MetricUnknown):
        metrics.find("auc", binary)


def test_a_policy_may_name_exactly_the_metrics_there_are(binary: Interface, multiclass: Interface, regression: Interface) -> None:
    for interface in (binary, multiclass, regression):
        assert tuple(metrics.names(interface)) == NAMED[interface.task]


def test_the_baseline_answers_the_shares_of_the_classes_or_the_mean(multiclass: Interface, regression: Interface) -> None:
    assert metrics.baseline_scores(multiclass, np.array([0, 0, 2, 2]), 2).tolist() == [[0.5, 0.0, 0.5]] * 2
    assert metrics.baseline_scores(regression, np.array([1.0, 2.0]), 3).tolist() == [[1.5]] * 3
