"""From a fitted pipeline to one ONNX graph with one input, ``matrix`` float32 [n, f], and one output, ``scores`` float32 [n, k].

The scores are probabilities in the order of the interface's classes, or one column with the value of a regression. Equal
pipelines give equal bytes: nothing random and nothing about the exporter stays in them.
"""

from collections.abc import Iterator
from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from treadle.errors import NotExportable
from treadle.spec import Interface
from treadle.training import converters

INPUT, OUTPUT = "matrix", "scores"
OPSET = {"": 15, "ai.onnx.ml": 3}
"""Fixed, so that a newer exporter does not change the bytes."""


def to_onnx(pipeline: Pipeline, interface: Interface) -> bytes:
    """Return the graph of a fitted pipeline.

    Raises:
        NotExportable: a step has no exact conversion; the error names it and what to use instead.
    """
    leaves = list(_leaves("", pipeline))
    for name, step in leaves:
        refusal = converters.refusal(step)
        if refusal is not None:
            raise NotExportable(name, step, *refusal)
    _require_scores(*leaves[-1], interface)
    converters.register(step for _, step in leaves)
    model = _converted(pipeline, leaves, interface)
    _reduce(model.graph, interface)
    _strip(model)
    return model.SerializeToString(deterministic=True)


def _leaves(name: str, step: Any) -> Iterator[tuple[str, BaseEstimator]]:
    """Yield the steps that do something, named by their path in the pipeline, in the order in which they work."""
    if isinstance(step, Pipeline):
        inner = step.steps
    elif isinstance(step, ColumnTransformer):
        inner = [(branch, what) for branch, what, _ in step.transformers_]
    elif isinstance(step, FeatureUnion):
        inner = step.transformer_list
    else:
        if isinstance(step, BaseEstimator):  # not "passthrough" or "drop"
            yield name, step
        return
    for part, what in inner:
        yield from _leaves(f"{name}.{part}" if name else part, what)


def _require_scores(name: str, estimator: BaseEstimator, interface: Interface) -> None:
    wanted = "predict" if interface.task == "regression" else "predict_proba"
    if not hasattr(estimator, wanted):
        raise NotExportable(
            name, estimator, f"a {interface.task} model answers with {wanted}, which it does not have", converters.instead(interface.task)
        )


def _converted(pipeline: Pipeline, leaves: list[tuple[str, BaseEstimator]], interface: Interface) -> ModelProto:
    try:
        return _convert(pipeline, len(interface.features), interface)
    except Exception as error:
        name, step, cause = _culprit(leaves, interface) or (*leaves[-1], error)
        reason = f"its conversion fails with {type(cause).__name__}: {str(cause).partition(chr(10))[0][:160].rstrip(' .,')}"
        raise NotExportable(name, step, reason, converters.instead(interface.task)) from error


def _culprit(leaves: list[tuple[str, BaseEstimator]], interface: Interface) -> tuple[str, BaseEstimator, Exception] | None:
    """Return the first step that cannot be converted by itself, and why."""
    for name, step in leaves:
        try:
            _convert(step, getattr(step, "n_features_in_", len(interface.features)), interface)
        except Exception as error:  # noqa: BLE001 - whatever a converter raises is the reason
            return name, step, error
    return None


def _convert(step: BaseEstimator, width: int, interface: Interface) -> ModelProto:
    # "div": divide by the deviation as scikit-learn does; to multiply by its inverse rounds differently.
    options: dict[Any, Any] = {StandardScaler: {"div": "div"}}
    if hasattr(step, "predict_proba") and interface.task != "regression":
        options[id(step)] = {"zipmap": False}
    return convert_sklearn(
        step, name="treadle", initial_types=[(INPUT, FloatTensorType([None, width]))], target_opset=OPSET, options=options
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
