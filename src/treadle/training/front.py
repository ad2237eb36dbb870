"""The front of the graph of an estimator that prepares its columns itself: from the matrix to what the converted estimator takes.

The converted estimator has inputs of its own: one per column where a ColumnTransformer picks among them, else all columns in one. The
nodes here feed them, so that the whole graph still has the one input ``matrix``. A code of a category becomes its text; a missing one
becomes ``MISSING``, which ``readable`` has put where the estimator looks for a missing text.
"""

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, compose, helper
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from treadle.spec import CategoryFeature, Interface
from treadle.training.columns import DIGITS, SMALLEST, UNSEEN

MATRIX = "matrix"
NUMBERS = "front_numbers"
OPSET = {"": 15, "ai.onnx.ml": 3}
"""Fixed, so that a newer exporter does not change the bytes."""

MISSING = "\x1fmissing"
"""The text of a missing category inside the graph: no category is called so."""

INNER = "estimator_"
"""Before every name of the converted estimator, so that none is the same as one of the front's."""

SCORES = "front_scores"

MISSING_CODE = -2.0

Inputs = list[tuple[str, Any]]


def readable(step: Any) -> None:
    """Change a fitted step, in place, so that its converter understands it; the step must be a copy.

    Columns are named by their positions. Missing texts, of which a converter knows only one kind, are ``MISSING``; truths are 1 and 0.
    """
    if isinstance(step, ColumnTransformer):
        positions = step._transformer_to_input_indices  # noqa: SLF001 - what was resolved at the fit, whatever way the columns were given
        step.transformers_ = [(name, what, list(positions[name])) for name, what, _ in step.transformers_]
    elif isinstance(step, SimpleImputer) and step.statistics_.dtype.kind in "OU" and not isinstance(step.missing_values, str):
        step.missing_values = MISSING
        step.statistics_ = np.array([str(value) for value in step.statistics_], dtype=object)
    elif isinstance(step, OneHotEncoder | OrdinalEncoder):
        step.categories_ = [_readable(values) for values in step.categories_]
    elif isinstance(step, VotingClassifier):
        step.flatten_transform = False  # asks nothing of the probabilities; the exporter refuses the other value
    elif isinstance(step, Pipeline) and len(step.steps) > 1 and _reads_float32(step.steps[-1][1]):
        step.steps.insert(-1, ("as_float32", CastTransformer(dtype=np.float32)))


def _reads_float32(step: Any) -> bool:
    """Tell whether a step is a learner that takes its rows as float32, or is converted as if it did."""
    return hasattr(step, "predict") and not isinstance(step, HistGradientBoostingClassifier | HistGradientBoostingRegressor)


def _readable(categories: Any) -> Any:
    if categories.dtype.kind == "b":
        return categories.astype(np.int64)
    if categories.dtype.kind != "O":
        return categories
    return np.array([MISSING if value is None or value != value else value for value in categories], dtype=object)  # noqa: PLR0124 - NaN


def inputs(interface: Interface, numbers: type, steps: list[Any]) -> Inputs:
    """Return the names and types of the inputs of an estimator that is made of ``steps``; ``numbers`` is the type of one that is no text.

    A learner alone takes float32, as it would behind other steps.
    """
    texts = [isinstance(feature, CategoryFeature) for feature in interface.features]
    if len(set(texts)) > 1 or any(isinstance(step, ColumnTransformer) for step in steps):
        return [(f"column_{index}", (StringTensorType if text else numbers)([None, 1])) for index, text in enumerate(texts)]
    alone = FloatTensorType if all(_reads_float32(step) for step in steps) else numbers
    return [("columns", (StringTensorType if texts[0] else alone)([None, len(texts)]))]


def join(model: ModelProto, interface: Interface) -> None:
    """Put the front before the graph of the converted estimator, in place: the one input is ``matrix`` afterwards."""
    compose.add_prefix(model, INNER, inplace=True)
    graph = model.graph
    taken = [value.name for value in graph.input]
    kind = next((value.type.tensor_type.elem_type for value in graph.input if value.type.tensor_type.elem_type != TensorProto.STRING), 0)
    nodes, constants = _nodes(interface, taken, kind or TensorProto.FLOAT)
    later = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend([*nodes, *later])
    graph.initializer.extend(constants)
    graph.input.append(helper.make_tensor_value_info(MATRIX, TensorProto.FLOAT, [None, len(interface.features)]))
    scores = graph.output[-1].name
    graph.node.append(helper.make_node("Cast", [scores], [SCORES], to=TensorProto.FLOAT))
    del graph.output[:], graph.value_info[:]  # they tell of float64, which no learner gives in the end
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, [None, None]))
    _require_opsets(model)


def _nodes(interface: Interface, taken: list[str], kind: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes that give the values called ``taken``: a column each, or all of them in one."""
    width = len(interface.features)
    nodes, constants = _plain(kind) if kind == TensorProto.DOUBLE else ([helper.make_node("Identity", [MATRIX], [NUMBERS])], [])
    if len(taken) == 1 and not isinstance(interface.features[0], CategoryFeature):
        return [*nodes, helper.make_node("Identity", [NUMBERS], taken)], constants
    codes, numbers = ([f"front_{what}_{index}" for index in range(width)] for what in ("code", "number"))
    nodes += [helper.make_node("Split", [whole, "front_widths"], parts, axis=1) for whole, parts in ((MATRIX, codes), (NUMBERS, numbers))]
    constants += [
        helper.make_tensor("front_widths", TensorProto.INT64, [width], [1] * width),
        helper.make_tensor("front_missing", TensorProto.FLOAT, [1], [MISSING_CODE]),
    ]
    given = taken if len(taken) == width else [f"front_text_{index}" for index in range(width)]
    for feature, code, number, name in zip(interface.features, codes, numbers, given, strict=True):
        same = [helper.make_node("Identity", [number], [name])]
        nodes += _texts(feature, code, name) if isinstance(feature, CategoryFeature) else same
    if given is not taken:
        nodes.append(helper.make_node("Concat", given, taken, axis=1))
    return nodes, constants


def _plain(kind: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes that do to the matrix what ``columns.plain`` does."""
    known = {"ten": 10.0, "smallest": SMALLEST, "per_decade": 1 / np.log(10), "digits": DIGITS - 1.0, "nothing": 0.0}
    constants = [helper.make_tensor(f"front_{name}", kind, [1], [value]) for name, value in known.items()]
    work = (
        ("Abs", "wide", "", "size"),
        ("Max", "size", "smallest", "some"),
        ("Log", "some", "", "log"),
        ("Mul", "log", "per_decade", "decades"),
        ("Floor", "decades", "", "exponent"),
        ("Sub", "digits", "exponent", "places"),
        ("Max", "places", "nothing", "places_up"),
        ("Pow", "ten", "places_up", "up"),
        ("Neg", "places", "", "other"),
        ("Max", "other", "nothing", "places_down"),
        ("Pow", "ten", "places_down", "down"),
        ("Mul", "wide", "up", "raised"),
        ("Div", "raised", "down", "shifted"),
        ("Round", "shifted", "", "whole"),
        ("Div", "whole", "up", "lowered"),
        ("Mul", "lowered", "down", "decimal"),
    )
    nodes = [helper.make_node("Cast", [MATRIX], ["front_wide"], to=kind)]
    nodes += [helper.make_node(what, [f"front_{name}" for name in given if name], [f"front_{to}"]) for what, *given, to in work]
    nodes += [
        helper.make_node("Cast", ["front_decimal"], ["front_back"], to=TensorProto.FLOAT),
        helper.make_node("Equal", ["front_back", MATRIX], ["front_same"]),
        helper.make_node("Where", ["front_same", "front_decimal", "front_wide"], [NUMBERS]),
    ]
    return nodes, constants


def _texts(feature: CategoryFeature, column: str, name: str) -> list[NodeProto]:
    codes = [MISSING_CODE, *map(float, range(len(feature.categories)))]
    return [
        helper.make_node("IsNaN", [column], [f"{column}_nan"]),
        helper.make_node("Where", [f"{column}_nan", "front_missing", column], [f"{column}_code"]),
        helper.make_node(
            "LabelEncoder",
            [f"{column}_code"],
            [name],
            domain="ai.onnx.ml",
            keys_floats=codes,
            values_strings=[MISSING, *feature.categories],
            default_string=UNSEEN,
        ),
    ]


def _require_opsets(model: ModelProto) -> None:
    """Name the sets of operators that the front uses; what the exporter chose from older ones means the same in these."""
    versions = {opset.domain: opset.version for opset in model.opset_import} | OPSET
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
