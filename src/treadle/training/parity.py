"""Does the graph answer as the estimator does? Measured in the engine that will serve it, on rows and where it is hardest.

The hard rows are made from real ones: each number put exactly on a threshold of the trees and one float32 step to either
side, each value missing, each category unseen.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.pipeline import Pipeline

from treadle.engine.session import Engine, Graph
from treadle.spec import Interface
from treadle.training.pipeline import NUMBERS, PREPARE, SCALE, UNSEEN, columns, scores_of

Matrix = npt.NDArray[np.float32]

TOLERANCE = 1e-5
"""Largest difference that counts as none; above 1 (values of a regression) relative to the value."""

PROBES = 20_000
"""About how many rows on thresholds are made; of more thresholds, some are left out evenly."""

COPIES = 50
"""Rows with a missing or unseen value per column."""


@dataclass(frozen=True)
class Parity:
    """How graph and estimator differ over ``rows`` rows.

    ``share_beyond`` is the share of rows with a difference above the tolerance, ``max_difference`` the largest one (relative
    above 1), ``label_agreement`` the share of rows with the same answer.
    """

    rows: int
    share_beyond: float
    max_difference: float
    label_agreement: float


def parity(pipeline: Pipeline, content: bytes, interface: Interface, matrix: Matrix) -> Parity:
    """Compare a fitted pipeline with its graph over ``matrix``, float32 [n, f] with one row at least, and the hard rows made from it.

    Raises:
        GraphInvalid: the graph cannot be loaded.
        InferenceFailed: the graph fails on a row.
    """
    rows = np.concatenate([matrix, *_hard_rows(pipeline, content, interface, matrix)])
    native = scores_of(pipeline, interface, rows)
    graph = Engine(Graph("the exported graph", content, interface)).run(rows)
    difference = (np.abs(native - graph) / np.maximum(1.0, np.abs(native))).max(axis=1)
    near = difference <= TOLERANCE
    same = near if interface.task == "regression" else native.argmax(axis=1) == graph.argmax(axis=1)
    return Parity(len(rows), float(1 - near.mean()), float(difference.max()), float(same.mean()))


def _hard_rows(pipeline: Pipeline, content: bytes, interface: Interface, matrix: Matrix) -> Iterator[Matrix]:
    numbers, categories = columns(interface)
    for column, values in thresholds(pipeline, content, numbers).items():
        steps = [values, np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))]
        yield _with(matrix, column, np.concatenate(steps))
    for column in numbers + categories:
        yield _with(matrix, column, np.full(COPIES, np.nan, dtype=np.float32))
    for column in categories:
        yield _with(matrix, column, np.full(COPIES, UNSEEN, dtype=np.float32))
    yield np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)


def _with(matrix: Matrix, column: int, values: Matrix) -> Matrix:
    """Return as many rows as there are values: copies of those in ``matrix``, with the values in one column."""
    rows = matrix[np.arange(len(values)) * 7919 % len(matrix)]  # a large prime: neighbours get rows from all over
    rows[:, column] = values
    return rows


def thresholds(pipeline: Pipeline, content: bytes, numbers: list[int]) -> dict[int, Matrix]:
    """Return, per column of the matrix that holds numbers, the values at which a tree in the graph decides."""
    found: dict[int, set[float]] = {}
    for node in onnx.load_from_string(content).graph.node:
        given = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_values" not in given:
            continue
        splits = zip(given["nodes_featureids"].ints, given["nodes_values"].floats, given["nodes_modes"].strings, strict=True)
        for feature, value, mode in splits:
            if mode != b"LEAF" and feature < len(numbers):
                found.setdefault(feature, set()).add(value)
    most = PROBES // (3 * max(1, len(found)))
    return {numbers[feature]: _unscaled(pipeline, feature, evenly(sorted(values), most)) for feature, values in sorted(found.items())}


def evenly(values: list[float], most: int) -> npt.NDArray[np.float64]:
    """Return at most ``most`` of the values, the first and the last among them."""
    picked = np.linspace(0, len(values) - 1, min(len(values), most)).astype(np.int64)
    return np.array(values)[picked]


def _unscaled(pipeline: Pipeline, feature: int, values: npt.NDArray[np.float64]) -> Matrix:
    """Return the values as they stand in the matrix, before the pipeline scales them."""
    steps = pipeline.named_steps[PREPARE].named_transformers_[NUMBERS].named_steps
    if SCALE in steps:
        values = values * steps[SCALE].scale_[feature] + steps[SCALE].mean_[feature]
    return values.astype(np.float32)
