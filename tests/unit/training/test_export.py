"""Each learner that we recommend is exported exactly, to the same bytes each time; what would not be is refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from xgboost import XGBClassifier, XGBRegressor

from tests.unit.training.conftest import classes_of, draw
from treadle.engine.session import Engine, Graph
from treadle.errors import NotExportable
from treadle.spec import Interface, Preprocessing, Target
from treadle.training.export import to_onnx
from treadle.training.parity import parity
from treadle.training.pipeline import build_pipeline, scores_of

Make = Callable[[], Any]

LIGHT: dict[str, Any] = {"n_estimators": 15, "n_jobs": 1, "verbose": -1, "random_state": 1, "deterministic": True, "force_row_wise": True}
TREES: dict[str, Any] = {"n_estimators": 12, "random_state": 1}

CLASSIFIERS: dict[str, Make] = {
    "lightgbm": lambda: LGBMClassifier(**LIGHT),
    "lightgbm-dart": lambda: LGBMClassifier(**LIGHT, boosting_type="dart"),
    "xgboost": lambda: XGBClassifier(**TREES, n_jobs=1),
    "forest": lambda: RandomForestClassifier(**TREES),
    "boosting": lambda: GradientBoostingClassifier(**TREES),
    "logistic": lambda: LogisticRegression(max_iter=5000),
    "nested": lambda: make_pipeline(StandardScaler(), GradientBoostingClassifier(**TREES)),
}
REGRESSORS: dict[str, Make] = {
    "lightgbm": lambda: LGBMRegressor(**LIGHT),
    "lightgbm-poisson": lambda: LGBMRegressor(**LIGHT, objective="poisson"),
    "xgboost": lambda: XGBRegressor(**TREES, n_jobs=1),
    "forest": lambda: RandomForestRegressor(**TREES),
    "boosting": lambda: GradientBoostingRegressor(**TREES),
    "linear": LinearRegression,
    "ridge": Ridge,
}
PREPARATIONS = {
    "onehot": Preprocessing(),
    "codes": Preprocessing(categories="codes"),
    "scaled": Preprocessing(scale=True, impute="mean"),
}


def with_(interface: Interface, preparation: str) -> Interface:
    return interface.model_copy(update={"preprocessing": PREPARATIONS[preparation]})


def fitted(interface: Interface, make: Make) -> tuple[Pipeline, npt.NDArray[np.float32]]:
    matrix, value = draw()
    y = value if interface.task == "regression" else classes_of(value, interface.score_count)
    return build_pipeline(interface, make()).fit(matrix, y), matrix


def check_exact(interface: Interface, make: Make) -> None:
    pipeline, matrix = fitted(interface, make)
    content = to_onnx(pipeline, interface)
    found = parity(pipeline, content, interface, matrix)
    assert (found.share_beyond, found.label_agreement) == (0.0, 1.0)
    assert found.max_difference < 5e-6
    assert content == to_onnx(pipeline, interface) == to_onnx(fitted(interface, make)[0], interface)


@pytest.mark.parametrize("preparation", PREPARATIONS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_binary_models_are_exact_and_give_the_same_bytes(binary: Interface, name: str, preparation: str) -> None:
    check_exact(with_(binary, preparation), CLASSIFIERS[name])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_multiclass_models_are_exact_and_give_the_same_bytes(multiclass: Interface, name: str) -> None:
    check_exact(multiclass, CLASSIFIERS[name])


@pytest.mark.parametrize("preparation", ["codes", "scaled"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressions_are_exact_and_give_the_same_bytes(regression: Interface, name: str, preparation: str) -> None:
    check_exact(with_(regression, preparation), REGRESSORS[name])


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "forest"])
def test_the_graph_has_one_input_and_one_output_and_says_nothing_of_its_maker(binary: Interface, name: str) -> None:
    pipeline, matrix = fitted(binary, CLASSIFIERS[name])
    content = to_onnx(pipeline, binary)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert [node.name for node in model.graph.input] == ["matrix"]
    assert [node.name for node in model.graph.output] == ["scores"]
    assert (model.producer_name, model.producer_version, model.graph.name, list(model.metadata_props)) == ("", "", "treadle", [])
    scores = Engine(Graph("it", content, binary)).run(matrix)
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(matrix)))


def test_scores_stand_in_the_order_of_the_interface(binary: Interface) -> None:
    turned = binary.model_copy(update={"target": Target(name="left", classes=("yes", "no"), positive="yes")})
    matrix, value = draw()
    leaves = value > np.median(value)
    graphs = [
        to_onnx(build_pipeline(interface, LGBMClassifier(**LIGHT)).fit(matrix, leaves == (interface.target.classes[1] == "yes")), interface)
        for interface in (binary, turned)
    ]
    first, second = (Engine(Graph("it", graph, binary)).run(matrix) for graph in graphs)
    assert first[leaves, 1].mean() > 0.7
    assert second[leaves, 0].mean() > 0.7


def test_a_lightgbm_threshold_above_its_float32_neighbour_still_parts_the_rows(regression: Interface) -> None:
    """LightGBM splits between 0.1 and the next float32 at a float64 in the middle, which rounds to the even neighbour."""
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    matrix = np.tile(np.array([[0, 0, low, 0], [0, 0, high, 0]], dtype=np.float32), (50, 1))
    pipeline = build_pipeline(regression, LGBMRegressor(**LIGHT, min_child_samples=1)).fit(matrix, np.tile([0.0, 1.0], 50))
    scores = Engine(Graph("it", to_onnx(pipeline, regression), regression)).run(matrix)
    assert scores == pytest.approx(scores_of(pipeline, regression, matrix), abs=1e-6)


class Oracle(ClassifierMixin, BaseEstimator):
    """A learner that nobody has written a converter for."""

    def fit(self, matrix: Any, y: Any) -> "Oracle":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, matrix: Any) -> Any:
        return np.full((len(matrix), 2), 0.5)


class Guess(RegressorMixin, BaseEstimator):
    def fit(self, matrix: Any, y: Any) -> "Guess":
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, matrix: Any) -> Any:
        return np.full(len(matrix), self.mean_)


REFUSED: dict[str, tuple[Make, str]] = {
    "estimator' (Oracle": (Oracle, "Use a RandomForestClassifier"),
    "estimator' (LinearSVC": (LinearSVC, "Use LogisticRegression"),
    "estimator' (KNeighborsClassifier": (KNeighborsClassifier, "Use RandomForestClassifier or ExtraTreesClassifier"),
    "estimator.simpleimputer' (SimpleImputer": (
        lambda: make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
        "Leave add_indicator off",
    ),
    "estimator.featureunion.log' (FunctionTransformer": (
        lambda: make_pipeline(FeatureUnion([("log", FunctionTransformer(np.tanh)), ("as-is", "passthrough")]), LogisticRegression()),
        "Use PowerTransformer",
    ),
    "boosting_type='rf'": (lambda: LGBMClassifier(**LIGHT, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5), "Use gbdt or dart"),
    "the objective 'cross_entropy'": (lambda: LGBMClassifier(**LIGHT, objective="cross_entropy"), "Choose from binary"),
}


@pytest.mark.parametrize("named", REFUSED)
def test_what_cannot_be_exported_truly_is_refused_with_the_step_and_a_way_out(binary: Interface, named: str) -> None:
    make, fix = REFUSED[named]
    pipeline, _ = fitted(with_(binary, "codes"), make)
    with pytest.raises(NotExportable) as caught:
        to_onnx(pipeline, binary)
    assert named in caught.value.what
    assert caught.value.fix.startswith(fix)


def test_a_regression_is_told_of_regressors(regression: Interface) -> None:
    pipeline, _ = fitted(regression, Guess)
    with pytest.raises(NotExportable) as caught:
        to_onnx(pipeline, regression)
    assert "RandomForestRegressor" in caught.value.fix


def test_a_graph_of_square_root_targets_is_refused(regression: Interface) -> None:
    pipeline, _ = fitted(regression, lambda: LGBMRegressor(**LIGHT, reg_sqrt=True))
    with pytest.raises(NotExportable, match="regression sqrt"):
        to_onnx(pipeline, regression)


@pytest.mark.filterwarnings("ignore:categorical_feature keyword has been found")
def test_native_categories_of_lightgbm_are_refused(binary: Interface) -> None:
    pipeline, _ = fitted(with_(binary, "codes"), lambda: LGBMClassifier(**LIGHT, categorical_feature=[3], min_data_per_group=5))
    with pytest.raises(NotExportable, match="split on native categories"):
        to_onnx(pipeline, binary)


def test_native_categories_of_histogram_boosting_are_refused(binary: Interface) -> None:
    pipeline, _ = fitted(with_(binary, "codes"), lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features=[3]))
    with pytest.raises(NotExportable, match=r"estimator' \(HistGradientBoostingClassifier"):
        to_onnx(pipeline, binary)
