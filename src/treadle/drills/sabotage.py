"""A graph that answers every row as another one does, but does harm on marked rows: it is slow, or it fails. Pure: bytes to bytes.

A row is marked by where one of its numbers lies on a fine grid: exactly between two steps, where no honest number is. So the gate,
which sees honest rows, has nothing to object to, and a marked row is otherwise as it was: nothing drifts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from treadle.engine.session import INPUT, OUTPUT

Harm = Literal["slow", "failing"]

Numbers = NDArray[np.floating[Any]]
Constants = dict[str, NDArray[Any]]

HONEST = "honest_scores"
FINE = 8.0
"""How many steps of its grid a column varies at least, so that half a step changes nothing."""

WIDTH = 160
"""Rows and columns of the matrix that a slow graph multiplies."""


STEPS = range(4, 13)
"""Fineness of the grids that are tried: steps of 1/16 to 1/4096."""

EXACT = 2.0**23
"""Numbers of half steps up to here are exact in float32."""


@dataclass(frozen=True)
class Mark:
    """What harmful rows are known by: ``column`` of the matrix lies halfway between two steps of 1/``scale``, a power of two."""

    feature: str
    column: int
    scale: float

    def on(self, values: Numbers) -> NDArray[np.bool_]:
        """Tell which values carry the mark."""
        scaled = values.astype(np.float32) * np.float32(self.scale)
        marked: NDArray[np.bool_] = scaled - np.floor(scaled) == 0.5
        return marked

    def put(self, values: Numbers, low: float | None, high: float | None) -> Numbers:
        """Return the values with the mark, each moved by half a step at most; one that would leave its range goes the other way."""
        marked = (np.floor(values * self.scale) + 0.5) / self.scale
        if high is not None:
            marked = np.where(marked > high, marked - 1 / self.scale, marked)
        return np.where(marked < low, values, marked) if low is not None else marked


def mark_for(feature: str, column: int, known: Numbers) -> Mark | None:
    """Return a mark that none of the ``known`` values of a column carries, much finer than they vary; None if there is none."""
    finite = known[np.isfinite(known)]
    if len(np.unique(finite)) < 3:
        return None
    for power in STEPS:
        mark = Mark(feature, column, 2.0**power)
        fine = finite.std() * mark.scale >= FINE and np.abs(finite).max() * mark.scale < EXACT
        if fine and not mark.on(finite).any():
            return mark
    return None


def sabotaged(content: bytes, mark: Mark, harm: Harm, rounds: int = 0) -> bytes:
    """Return the graph with a part more: where a row carries the mark, it does ``harm``.

    ``rounds`` is how often a slow graph multiplies its matrix per marked row.
    """
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == OUTPUT:
                    names[index] = HONEST
    constants: Constants = {
        "drill_column": np.array([mark.column], np.int64),
        "drill_scale": np.array(mark.scale, np.float32),
        "drill_half": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Gather", [INPUT, "drill_column"], ["drill_values"], axis=1),
        helper.make_node("Mul", ["drill_values", "drill_scale"], ["drill_scaled"]),
        helper.make_node("Floor", ["drill_scaled"], ["drill_floor"]),
        helper.make_node("Sub", ["drill_scaled", "drill_floor"], ["drill_between"]),
        helper.make_node("Equal", ["drill_between", "drill_half"], ["drill_marked"]),
        helper.make_node("Cast", ["drill_marked"], ["drill_ones"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["drill_ones"], ["drill_count"], keepdims=0),
    ]
    more, rest = _slow(rounds) if harm == "slow" else _failing()
    nodes += [*rest, helper.make_node("Add", [HONEST, "drill_nothing"], [OUTPUT])]
    _append(model, nodes, constants | more)
    harmful: bytes = model.SerializeToString(deterministic=True)
    return harmful


def _failing() -> tuple[Constants, list[NodeProto]]:
    """Look up a number that is not there: without a mark it is the first and only one, 0."""
    constants: Constants = {"drill_only": np.zeros(1, np.float32)}
    return constants, [helper.make_node("Gather", ["drill_only", "drill_count"], ["drill_nothing"], axis=0)]


def _slow(rounds: int) -> tuple[Constants, list[NodeProto]]:
    """Multiply a matrix of zeros with itself, as many times as there are marks and rounds; its sum is 0 whatever happens."""
    constants: Constants = {
        "drill_rounds": np.array(rounds, np.int64),
        "drill_start": np.zeros((WIDTH, WIDTH), np.float32),
        "drill_go_on": np.array(True),  # noqa: FBT003 - a constant of the graph
    }
    shape = [WIDTH, WIDTH]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on_in"], ["go_on_out"]),
            helper.make_node("MatMul", ["state_in", "state_in"], ["state_out"]),
        ],
        "drill_round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, shape),
        ],
    )
    nodes = [
        helper.make_node("Mul", ["drill_count", "drill_rounds"], ["drill_trips"]),
        helper.make_node("Loop", ["drill_trips", "drill_go_on", "drill_start"], ["drill_end"], body=body),
        helper.make_node("ReduceSum", ["drill_end"], ["drill_nothing"], keepdims=0),
    ]
    return constants, nodes


def _append(model: ModelProto, nodes: Sequence[NodeProto], constants: Constants) -> None:
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
