"""What the converters need to know about learners: how LightGBM and XGBoost are converted exactly, and what is refused."""

# ruff: noqa: PLC0415 - LightGBM and XGBoost are imported only for a pipeline that holds them

import copy
import math
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx.helper import make_tensor
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
from skl2onnx.operator_converters.random_forest import (
    convert_sklearn_random_forest_classifier,
    convert_sklearn_random_forest_regressor_converter,
)
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neighbors._base import KNeighborsMixin, RadiusNeighborsMixin
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from treadle.spec import Task
from treadle.training.nearest import WRONG, instead

_CLASSIFIER_OPTIONS = {
    "nocl": [True, False],
    "zipmap": [True, False, "columns"],
    "raw_scores": [True, False],
    "output_class_labels": [True, False],
}

# Objectives whose answers the converter computes as LightGBM does; multiclassova and cross_entropy it takes for others.
_LIGHTGBM_OBJECTIVES = {"binary", "multiclass", "regression", "regression_l1", "huber", "quantile", "poisson", "gamma", "tweedie"}

# LightGBM reads every value in [-this, this] as 0, so the value -this lies above the threshold -this.
_LIGHTGBM_ZERO = float(np.float32(1e-35))


def register(steps: Iterable[BaseEstimator]) -> None:
    """Teach the exporter about LightGBM and XGBoost, where a step is one of them: neither is imported otherwise."""
    for step in steps:
        library = _library(step)
        if library == "lightgbm":
            _register_lightgbm()
        elif library == "xgboost":
            _register_xgboost()
        elif isinstance(step, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            _register_histogram()


def refusal(step: BaseEstimator, task: Task) -> tuple[str, str] | None:
    """Return why the graph of this fitted step would not be true to it and what to do instead, or None."""
    if isinstance(step, SimpleImputer) and step.add_indicator:
        return "add_indicator would be left out of the graph without a word", "Leave add_indicator off."
    if isinstance(step, KNeighborsMixin | RadiusNeighborsMixin):
        reason = "its graph would hold the training rows themselves, and other bytes after each conversion"
        return reason, instead(task, step)
    if type(step).__name__ in WRONG:
        return WRONG[type(step).__name__], instead(task, step)
    if isinstance(step, HistGradientBoostingClassifier | HistGradientBoostingRegressor) and step.is_categorical_ is not None:
        return "its trees split on native categories", "Leave categorical_features=None, and encode the categories before it."
    if _library(step) == "lightgbm" and hasattr(step, "booster_"):
        return _refusal_of_lightgbm(step)
    return None


def never(step: BaseEstimator, task: Task) -> tuple[str, str] | None:
    """Return why no graph could ever be true to this step, fitted or not, and what to do instead, or None if the fit will tell."""
    if isinstance(step, FunctionTransformer) and step.func is not None:
        name = getattr(step.func, "__name__", type(step.func).__name__)
        called = "a lambda" if name == "<lambda>" else f"the function {name}"
        return f"no graph can be made of {called}", f"Do it to the column before, in load(). {instead(task, step)}"
    if isinstance(step, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return None  # which columns are categories is known after the fit
    return refusal(step, task)


def refusal_of_sparse(step: BaseEstimator, steps: list[BaseEstimator]) -> tuple[str, str] | None:
    """Return why XGBoost behind these steps would answer otherwise than its graph, or None."""
    if _library(step) != "xgboost":
        return None
    joined = [one.sparse_output_ for one in steps if isinstance(one, ColumnTransformer)]
    if any(joined) or (not joined and any(isinstance(one, OneHotEncoder) and one.sparse_output for one in steps)):
        return (
            "it takes each zero of a sparse matrix for a missing value, which the graph does not",
            "Set sparse_output=False in the OneHotEncoder, or sparse_threshold=0 in the ColumnTransformer, and fit again.",
        )
    return None


def _refusal_of_lightgbm(model: Any) -> tuple[str, str] | None:
    objective = str(model.booster_.dump_model(num_iteration=1).get("objective", "of your own")).split()
    if model.boosting_type == "rf":
        return "the graph of boosting_type='rf' would answer other probabilities", "Use gbdt or dart, or scikit-learn's random forest."
    if objective[0] not in _LIGHTGBM_OBJECTIVES or "sqrt" in objective:
        return f"the objective {' '.join(objective)!r} has no exact conversion", f"Choose from {', '.join(sorted(_LIGHTGBM_OBJECTIVES))}."
    if re.search(r"^num_cat=.*[1-9]", model.booster_.model_to_string(), re.MULTILINE):
        return "its trees split on native categories", "Leave categorical_feature off: the contract's preprocessing encodes categories."
    return None


def _library(step: BaseEstimator) -> str:
    return type(step).__module__.partition(".")[0]


def _register_lightgbm() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    def convert(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = rounded_down(operator.raw_operator)
        convert_lightgbm(scope, operator, container)

    _register(LGBMClassifier, LGBMRegressor, convert)


def _register_xgboost() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor

    _register(XGBClassifier, XGBRegressor, convert_xgboost)


def _register_histogram() -> None:
    def of(convert: Any) -> Any:
        def converted(scope: Any, operator: Any, container: Any) -> None:
            model = operator.raw_operator = copy.deepcopy(operator.raw_operator)
            trees = [predictor.nodes for stage in model._predictors for predictor in stage]  # noqa: SLF001 - what its converter reads, too
            thresholds = [0.0 if node["is_leaf"] else float(node["num_threshold"]) for nodes in trees for node in nodes]
            exact = isinstance(operator.inputs[0].type, DoubleTensorType)
            for nodes in trees:
                nodes["num_threshold"] = [_down(value) for value in nodes["num_threshold"].tolist()]
            convert(scope, operator, _Histogram(container, thresholds if exact else None))

        return converted

    for model, shape, convert in (
        (HistGradientBoostingClassifier, calculate_linear_classifier_output_shapes, convert_sklearn_random_forest_classifier),
        (HistGradientBoostingRegressor, calculate_linear_regressor_output_shapes, convert_sklearn_random_forest_regressor_converter),
    ):
        options = _CLASSIFIER_OPTIONS if model is HistGradientBoostingClassifier else {"raw_scores": [True, False]}
        update_registered_converter(model, f"Treadle{model.__name__}", shape, of(convert), options=options)


class _Histogram:
    """A container of nodes that mends those of trees on histograms.

    The exporter gives truths where ONNX asks for whole numbers; and float32 thresholds, also to rows in float64.
    """

    def __init__(self, container: Any, thresholds: list[float] | None) -> None:
        self._container = container
        self._thresholds = thresholds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *given: Any, **attributes: Any) -> Any:
        if "nodes_missing_value_tracks_true" in attributes:
            tracks = attributes["nodes_missing_value_tracks_true"]
            attributes["nodes_missing_value_tracks_true"] = [int(value) for value in tracks]
            if self._thresholds is not None:
                del attributes["nodes_values"]
                count = len(self._thresholds)
                attributes["nodes_values_as_tensor"] = make_tensor("thresholds", TensorProto.DOUBLE, [count], self._thresholds)
        return self._container.add_node(*given, **attributes)


def _register(classifier: type, regressor: type, convert: Any) -> None:
    update_registered_converter(
        classifier, f"Treadle{classifier.__name__}", calculate_linear_classifier_output_shapes, convert, options=_CLASSIFIER_OPTIONS
    )
    update_registered_converter(regressor, f"Treadle{regressor.__name__}", calculate_linear_regressor_output_shapes, convert)


def rounded_down(model: Any) -> SimpleNamespace:
    """Return what the converter reads of a LightGBM model, with each threshold rounded down to float32.

    LightGBM compares ``x <= threshold`` in float64. The graph compares in float32, and the nearest float32 may lie above the
    threshold: a row exactly there would go the other way. Rounded down, both agree for every float32 ``x``.
    """
    from lightgbm import Booster

    lines = model.booster_.model_to_string().splitlines()
    # The sizes of the trees in bytes change; without this line they are found by reading.
    text = "\n".join(_rounded_line(line) for line in lines if not line.startswith("tree_sizes="))
    return SimpleNamespace(booster_=Booster(model_str=text), classes_=getattr(model, "classes_", None), boosting_type=model.boosting_type)


def _rounded_line(line: str) -> str:
    key, _, values = line.partition("=")
    if key != "threshold":
        return line
    return f"threshold={' '.join(repr(_down(float(value))) for value in values.split())}"


def _down(threshold: float) -> float:
    if -_LIGHTGBM_ZERO <= threshold < 0:
        return _below(-_LIGHTGBM_ZERO)
    nearest = float(np.float32(threshold))
    return nearest if nearest <= threshold else _below(nearest)


def _below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-math.inf)))
