"""From a fitted pipeline to one ONNX graph with one input, ``matrix`` float32 [n, f], and one output, ``scores`` float32 [n, k].

The scores are probabilities in the order of the interface's classes, or one column with the value of a regression. Equal
pipelines give equal bytes: nothing random and nothing about the exporter stays in them.
"""

import copy
from collections.abc import Iterator
from typing import Any

import onnxruntime as ort
from onnx import GraphProto, ModelProto, TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from treadle.errors import NotExportable
from treadle.spec import Interface
from treadle.training import converters, exact, front
from treadle.training.nearest import instead
from treadle.training.pipeline import ESTIMATOR

INPUT, OUTPUT = front.MATRIX, "scores"


def to_onnx(pipeline: Pipeline, interface: Interface) -> bytes:
    """Return the graph of a fitted pipeline.

    Raises:
        NotExportable: a step has no exact conversion; the error names it and what to use instead.
    """
    model = _of_columns(pipeline, interface) if interface.preprocessing.input == "columns" else _converted("", pipeline, interface)
    _reduce(model.graph, interface)
    _strip(model)
    return model.SerializeToString(deterministic=True)


def _steps(name: str, step: Any) -> Iterator[tuple[str, BaseEstimator]]:
    """Yield a step after all that it is made of, named by their path in the pipeline, in the order in which they work."""
    for part, what in _parts(step):
        yield from _steps(f"{name}.{part}" if name else part, what)
    if isinstance(step, BaseEstimator):  # not "passthrough" or "drop"
        yield name, step


def _parts(step: Any) -> list[tuple[str, Any]]:  # noqa: PLR0911 - a line per kind of step
    if isinstance(step, Pipeline):
        return list(step.steps)
    if isinstance(step, ColumnTransformer):
        return [(branch, what) for branch, what, _ in step.transformers_]
    if isinstance(step, FeatureUnion):
        return list(step.transformer_list)
    if isinstance(step, VotingClassifier | VotingRegressor | StackingClassifier | StackingRegressor):
        named = [name for name, what in step.estimators if what != "drop"]
        return [*zip(named, step.estimators_, strict=True), *_last("final_estimator", step)]
    if isinstance(step, BaggingClassifier | BaggingRegressor | AdaBoostClassifier | AdaBoostRegressor):
        return [(str(index), what) for index, what in enumerate(step.estimators_)]
    if isinstance(step, CalibratedClassifierCV):
        return [(str(index), what.estimator) for index, what in enumerate(step.calibrated_classifiers_)]
    return _last("best_estimator", step) if isinstance(step, BaseSearchCV) else []


def _last(name: str, step: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(step, f"{name}_"))] if hasattr(step, f"{name}_") else []


def _require_scores(name: str, estimator: BaseEstimator, interface: Interface) -> None:
    wanted = "predict" if interface.task == "regression" else "predict_proba"
    if not hasattr(estimator, wanted):
        raise NotExportable(
            name, estimator, f"a {interface.task} model answers with {wanted}, which it does not have", instead(interface.task, estimator)
        )


def _of_columns(pipeline: Pipeline, interface: Interface) -> ModelProto:
    """Return the graph of an estimator that prepares the columns itself, behind its front.

    It computes in float64 up to the learner, as scikit-learn does, unless a step has no such graph.
    """
    try:
        model = _behind_front(pipeline, interface, DoubleTensorType)
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - whatever the exporter or the runtime raises about float64
        return _behind_front(pipeline, interface, FloatTensorType)
    return model


def _behind_front(pipeline: Pipeline, interface: Interface, numbers: type) -> ModelProto:
    estimator = copy.deepcopy(pipeline.named_steps[ESTIMATOR])
    for _, step in _steps(ESTIMATOR, estimator):
        front.readable(step)
    model = _converted(ESTIMATOR, estimator, interface, numbers)
    front.join(model, interface)
    return model


def _converted(name: str, pipeline: BaseEstimator, interface: Interface, numbers: type = FloatTensorType) -> ModelProto:
    steps = list(_steps(name, pipeline))
    for path, step in steps:
        refusal = converters.refusal(step, interface.task) or converters.refusal_of_sparse(step, [what for _, what in steps])
        if refusal is not None:
            raise NotExportable(path, step, *refusal)
    leaves = [(path, step) for path, step in steps if not isinstance(step, Pipeline | ColumnTransformer | FeatureUnion)]
    _require_scores(*leaves[-1], interface)
    converters.register(step for _, step in leaves)
    try:
        return _convert(pipeline, _inputs(steps, interface, numbers), interface)
    except Exception as error:
        path, step, cause = _culprit(leaves, interface) or (*leaves[-1], error)
        reason = f"its conversion fails with {type(cause).__name__}: {str(cause).partition(chr(10))[0][:160].rstrip(' .,')}"
        raise NotExportable(path, step, reason, instead(interface.task, step)) from error


def _inputs(steps: list[tuple[str, BaseEstimator]], interface: Interface, numbers: type) -> front.Inputs:
    if interface.preprocessing.input == "matrix":
        return [(INPUT, FloatTensorType([None, len(interface.features)]))]
    return front.inputs(interface, numbers, steps=[step for _, step in steps])


def _culprit(leaves: list[tuple[str, BaseEstimator]], interface: Interface) -> tuple[str, BaseEstimator, Exception] | None:
    """Return the first step that cannot be converted by itself, and why."""
    for name, step in leaves:
        width = getattr(step, "n_features_in_", len(interface.features))
        try:
            _convert(step, [(INPUT, FloatTensorType([None, width]))], interface)
        except Exception as error:  # noqa: BLE001 - whatever a converter raises is the reason
            if not _takes_texts(step, width, interface):
                return name, step, error
    return None


def _takes_texts(step: BaseEstimator, width: int, interface: Interface) -> bool:
    """Tell whether a step can be converted by itself where its columns are texts."""
    try:
        _convert(step, [(INPUT, StringTensorType([None, width]))], interface)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _convert(step: BaseEstimator, types: front.Inputs, interface: Interface) -> ModelProto:
    # "div": divide by the deviation as scikit-learn does; to multiply by its inverse rounds differently.
    options: dict[Any, Any] = {StandardScaler: {"div": "div"}}
    if hasattr(step, "predict_proba") and interface.task != "regression":
        options[id(step)] = {"zipmap": False}
    if interface.preprocessing.input == "matrix":
        return convert_sklearn(step, name="treadle", initial_types=types, target_opset=front.OPSET, options=options)
    return convert_sklearn(
        step,
        name="treadle",
        initial_types=types,
        target_opset=front.OPSET,
        options=options,
        custom_conversion_functions=exact.CONVERTERS,
        custom_shape_calculators=exact.SHAPES,
    )


def _reduce(graph: GraphProto, interface: Interface) -> None:
    """Leave one output, the scores, and only what it needs."""
    scores = graph.output[-1].name
    for node in graph.node:
        node.input[:] = [OUTPUT if name == scores else name for name in node.input]
        node.output[:] = [OUTPUT if name == scores else name for name in node.output]
    needed, kept = {OUTPUT}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    kept.reverse()
    constants = [constant for constant in graph.initializer if constant.name in needed]
    for field, values in ((graph.node, kept), (graph.initializer, constants)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    del graph.output[:], graph.value_info[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", interface.score_count]))


def _strip(model: ModelProto) -> None:
    for field in ("producer_name", "producer_version", "domain", "doc_string", "model_version"):
        model.ClearField(field)
    del model.metadata_props[:]
    opsets = sorted((opset.domain, opset.version) for opset in model.opset_import)  # they come out of a set
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets)
    model.graph.ClearField("doc_string")
