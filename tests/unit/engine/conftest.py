"""Small real graphs: a linear model, one that fails on some rows, and a slow one."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from treadle.engine.session import Graph
from treadle.spec import BooleanFeature, CategoryFeature, Interface, NumberFeature, Target

CLASSES = ("no", "yes")
INTERFACE = Interface(
    task="binary",
    target=Target(name="left", classes=CLASSES),
    entity="customer",
    features=(
        NumberFeature(name="tenure", type="integer", min=0, max=72, description="Months as a customer."),
        NumberFeature(name="charges", type="number", required=False),
        CategoryFeature(name="contract", type="category", categories=("Month-to-month", "One year", "Two year")),
        CategoryFeature(name="channel", type="category", categories=("web", "shop"), required=False),
        BooleanFeature(name="paperless", type="boolean"),
        BooleanFeature(name="partner", type="boolean", required=False),
    ),
)
FEATURES = len(INTERFACE.features)
WEIGHTS = np.random.default_rng(0).normal(size=(FEATURES, 2)).astype(np.float32)


def graph(nodes: list[onnx.NodeProto], initializers: dict[str, np.ndarray], *, rows: str | int = "n", columns: int = FEATURES) -> bytes:
    """Return the bytes of a model from "matrix" to "scores" made of these nodes."""
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [rows, columns])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [rows, "k"])],
        [numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def linear(classes: int = 2, **shape: str | int) -> bytes:
    """Return softmax(matrix @ WEIGHTS); a missing value makes its scores NaN."""
    nodes = [helper.make_node("MatMul", ["matrix", "weights"], ["sums"]), helper.make_node("Softmax", ["sums"], ["scores"], axis=1)]
    return graph(nodes, {"weights": np.resize(WEIGHTS, (FEATURES, classes))}, **shape)  # type: ignore[arg-type]


def fragile() -> bytes:
    """Return a graph that looks up its scores by the first column: from 3 on the runtime fails."""
    nodes = [
        helper.make_node("Gather", ["matrix", "zero"], ["first"], axis=1),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["scores"], axis=0),
    ]
    return graph(nodes, {"zero": np.array(0), "table": np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)})


def slow() -> bytes:
    """Return a graph that multiplies large matrices before it answers as ``linear`` does, which takes milliseconds."""
    nodes = [
        helper.make_node("ReduceMean", ["matrix"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "large"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["b"]),
        helper.make_node("MatMul", ["b", "a"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["d"], keepdims=0),
        helper.make_node("Mul", ["d", "none"], ["e"]),
        helper.make_node("MatMul", ["matrix", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "e"], ["moved"]),
        helper.make_node("Softmax", ["moved"], ["scores"], axis=1),
    ]
    return graph(nodes, {"large": np.array([500, 500]), "none": np.float32(0) * np.ones(1, dtype=np.float32), "weights": WEIGHTS})


def matrix(count: int, seed: int = 1) -> np.ndarray:
    """Return random rows, float32 of shape [count, FEATURES]."""
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


@pytest.fixture
def interface() -> Interface:
    return INTERFACE


@pytest.fixture
def linear_graph() -> Graph:
    return Graph("linear", linear(), INTERFACE)


@pytest.fixture
def fragile_graph() -> Graph:
    return Graph("fragile", fragile(), INTERFACE)


@pytest.fixture
def slow_graph() -> Graph:
    return Graph("slow", slow(), INTERFACE)
