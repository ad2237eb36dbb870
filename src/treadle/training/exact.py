"""Converters for estimators that prepare the columns themselves, where the exporter's own would compute otherwise than scikit-learn.

scikit-learn imputes and scales a DataFrame in float64, and learners such as trees read the result as float32. So does the graph: in
float32 alone, a row on the threshold of a tree would go the other way.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
from skl2onnx.operator_converters.ordinal_encoder import convert_sklearn_ordinal_encoder
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OrdinalEncoder, RobustScaler, StandardScaler

Floats = np.ndarray[Any, np.dtype[np.float64]]
Work = list[tuple[str, Floats | float | None]]


def _standard(step: Any) -> Work:
    return [("Sub", step.mean_), ("Div", step.scale_)]


def _least_and_most(step: Any) -> Work:
    low, high = step.feature_range if step.clip else (None, None)
    return [("Mul", step.scale_), ("Add", step.min_), ("Max", low), ("Min", high)]


def _robust(step: Any) -> Work:
    return [("Sub", step.center_ if step.with_centering else None), ("Div", step.scale_ if step.with_scaling else None)]


def _absolute(step: Any) -> Work:
    low, high = (-1.0, 1.0) if getattr(step, "clip", False) else (None, None)
    return [("Div", step.scale_), ("Max", low), ("Min", high)]


class _Graph:
    """What the converters here add their nodes to."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self.output = operator.outputs[0]
        names = [value.full_name for value in operator.inputs]
        self.columns = names[0] if len(names) == 1 else self.add("Concat", names, axis=1)

    def add(self, kind: str, given: list[str], *, domain: str = "", version: int = 13, **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        result: str = self._scope.get_unique_variable_name(kind.lower())
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, given, [result], op_domain=domain, op_version=version, name=name, **attributes)
        return result

    def constant(self, values: Any, kind: int = TensorProto.DOUBLE) -> str:
        """Add a row of constants and return its name."""
        name: str = self._scope.get_unique_variable_name("constant")
        numbers = np.atleast_1d(np.asarray(values))
        self._container.add_initializer(name, kind, [len(numbers)], numbers)
        return name

    def precise(self) -> str:
        """Return the columns as float64."""
        return self.add("Cast", [self.columns], to=TensorProto.DOUBLE)

    def end(self, result: str) -> None:
        """Make ``result`` the output, in the type that the next step expects."""
        kind = TensorProto.DOUBLE if isinstance(self.output.type, DoubleTensorType) else TensorProto.FLOAT
        self._container.add_node(
            "Cast", [result], [self.output.full_name], to=kind, op_version=13, name=self._scope.get_unique_operator_name("Cast")
        )


def _scaler(work: Callable[[Any], Work]) -> Callable[..., None]:
    """Return the converter of a scaler that does this work, one operation after the other."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        graph = _Graph(scope, operator, container)
        value = graph.precise()
        for kind, constant in work(operator.raw_operator):
            if constant is not None:
                value = graph.add(kind, [value, graph.constant(constant)])
        graph.end(value)

    return convert


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    if isinstance(operator.inputs[0].type, StringTensorType):
        convert_sklearn_imputer(scope, operator, container)
        return
    if np.isnan(step.statistics_.astype(np.float64)).any():
        message = "a column without any value, which it leaves out; drop that column"
        raise ValueError(message)
    graph = _Graph(scope, operator, container)
    value, wanted = graph.precise(), step.missing_values
    numeric = isinstance(wanted, int | float) and not np.isnan(wanted)
    missing = graph.add("Equal", [value, graph.constant(float(wanted))]) if numeric else graph.add("IsNaN", [value])
    graph.end(graph.add("Where", [missing, graph.constant(step.statistics_.astype(np.float64)), value], version=9))


def _ordinal(scope: Any, operator: Any, container: Any) -> None:
    """Convert an OrdinalEncoder; of texts, so that a missing one becomes what the encoder makes of it."""
    step = operator.raw_operator
    if not all(isinstance(value.type, StringTensorType) for value in operator.inputs) or getattr(step, "_infrequent_enabled", False):
        convert_sklearn_ordinal_encoder(scope, operator, container)
        return
    graph = _Graph(scope, operator, container)
    codes = [
        graph.add(
            "LabelEncoder",
            [graph.add("Gather", [graph.columns, graph.constant([index], TensorProto.INT64)], axis=1)],
            domain="ai.onnx.ml",
            version=2,
            keys_strings=[str(value) for value in categories],
            values_floats=_codes(step, index),
            default_float=float("nan" if step.unknown_value is None else step.unknown_value),
        )
        for index, categories in enumerate(step.categories_)
    ]
    graph.end(graph.add("Concat", codes, axis=1))


def _codes(step: Any, column: int) -> list[float]:
    codes = [float(code) for code in range(len(step.categories_[column]))]
    if column in step._missing_indices:  # noqa: SLF001 - the place of the missing text among the categories
        codes[step._missing_indices[column]] = float(step.encoded_missing_value)  # noqa: SLF001
    return codes


CONVERTERS = {
    SimpleImputer: _imputer,
    StandardScaler: _scaler(_standard),
    MinMaxScaler: _scaler(_least_and_most),
    RobustScaler: _scaler(_robust),
    MaxAbsScaler: _scaler(_absolute),
    OrdinalEncoder: _ordinal,
}


def _shape(operator: Any) -> None:
    """Declare the result of a scaler or an imputer: as precise as what it is given."""
    kinds = {type(value.type) for value in operator.inputs}
    kind = next((kind for kind in (StringTensorType, DoubleTensorType) if kind in kinds), FloatTensorType)
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), operator.raw_operator.n_features_in_])


SHAPES = {kind: _shape for kind in CONVERTERS if kind is not OrdinalEncoder}
