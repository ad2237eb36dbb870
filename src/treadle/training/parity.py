"""Does the graph answer as the estimator does? Measured in the engine that will serve it, on rows and where it is hardest.

The hard rows are made from real ones: each number put exactly on a threshold of the trees and one float32 step to either
side, each value missing, each category unseen. Where the estimator prepares the columns itself, its thresholds are not those of the
matrix, and are found by asking it: halving the way between two rows leads to where its answer changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.pipeline import Pipeline

from treadle.engine.session import Engine, Graph
from treadle.spec import Interface
from treadle.training.metrics import Floats
from treadle.training.pipeline import NUMBERS, PREPARE, SCALE, UNSEEN, columns, scores_of

Matrix = npt.NDArray[np.float32]

TOLERANCE = 1e-5
"""Largest difference that counts as none: of a probability; of a value, relative to it or to the spread of the values, whichever is larger.

An estimator sums hundreds of float32 parts that are as large as the spread, so that a value near 0 is no more exact than the others.
"""

PROBES = 20_000
"""About how many rows on thresholds are made; of more thresholds, some are left out evenly."""

COPIES = 50
"""Rows with a missing or unseen value per column."""

PAIRS = 10
"""Pairs of rows per number at the edges of an answer."""

HALVINGS = 40
"""From any distance in float32 to neighbours."""

WHOLE = ("integer", "boolean", "date")


@dataclass(frozen=True)
class Parity:
    """How graph and estimator differ over ``rows`` rows.

    ``share_beyond`` is the share of rows with a difference above the tolerance, ``max_difference`` the largest one (of values:
    relative), ``label_agreement`` the share of rows with the same answer.
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
    if interface.preprocessing.input == "columns":
        rows, other = _of_columns(pipeline, interface, matrix)
    else:
        rows = np.concatenate([matrix, *_hard_rows(pipeline, content, interface, matrix)])
        other = np.arange(len(rows))
    native = scores_of(pipeline, interface, rows)
    graph = Engine(Graph("the exported graph", content, interface)).run(rows)
    floor = smallest_scale(interface, native[: len(matrix)])
    difference = np.minimum(_difference(native, graph, floor), _difference(native[other], graph, floor))
    near = difference <= TOLERANCE
    answers = graph.argmax(axis=1)
    same = near if interface.task == "regression" else (native.argmax(axis=1) == answers) | (native[other].argmax(axis=1) == answers)
    return Parity(len(rows), float(1 - near.mean()), float(difference.max()), float(same.mean()))


def smallest_scale(interface: Interface, scores: Floats) -> float:
    """Return what a difference is measured by where the value itself is smaller; ``scores`` are those of real rows."""
    return float(scores.std()) or 1.0 if interface.task == "regression" else 1.0


def _difference(native: Floats, graph: Floats, floor: float) -> Floats:
    return (np.abs(native - graph) / np.maximum(floor, np.abs(native))).max(axis=1)


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


def _of_columns(pipeline: Pipeline, interface: Interface, matrix: Matrix) -> tuple[Matrix, npt.NDArray[np.intp]]:
    """Return the rows to compare, and for each row its own place, or that of its neighbour across an edge.

    A learner that decides on float64 values meets them as float32 in the graph, so that an edge of its answer may lie one step of
    float32 aside: next to an edge the answer of the other side counts as well.
    """
    made = np.concatenate([matrix, *_made_rows(pipeline, interface, matrix)])
    low, high, parted = edges(lambda rows: scores_of(pipeline, interface, rows), interface, matrix)
    places = np.arange(len(made) + 2 * len(low))
    ends = places[len(made) :].reshape(2, -1)
    ends[:, ~parted] = ends[::-1, ~parted]
    return np.concatenate([made, low, high]), places


def _made_rows(pipeline: Pipeline, interface: Interface, matrix: Matrix) -> Iterator[Matrix]:
    """Yield rows with what a request may lack, and with unseen categories, if the estimator takes them (else so does its graph not)."""
    optional = [index for index, feature in enumerate(interface.features) if not feature.required]
    for column in optional:
        yield _with(matrix, column, np.full(COPIES, np.nan, dtype=np.float32))
    empty = matrix[:1].copy()
    empty[:, optional] = np.nan
    yield empty
    for column in columns(interface)[1]:
        unseen = _with(matrix, column, np.full(COPIES, UNSEEN, dtype=np.float32))
        if _takes(pipeline, interface, unseen):
            yield unseen


def _takes(pipeline: Pipeline, interface: Interface, rows: Matrix) -> bool:
    try:
        scores_of(pipeline, interface, rows)
    except ValueError:
        return False
    return True


def edges(score: Callable[[Matrix], Floats], interface: Interface, matrix: Matrix) -> tuple[Matrix, Matrix, npt.NDArray[np.bool_]]:
    """Return pairs of rows that are next to each other in one number, between which the answer changes: ``PAIRS`` for each number.

    A pair begins as two rows that differ in that number alone; the half in which the answer changes is kept, until nothing lies
    between its ends. Where the answer changes everywhere, it does so there. The third array tells which pairs are a whole 1 apart.
    """
    numbers = np.array(columns(interface)[0], dtype=np.intp)
    spots = np.arange(PAIRS * len(numbers))
    column = np.repeat(numbers, PAIRS)
    rows = matrix[spots * 7919 % len(matrix)]
    low, high = rows[spots, column], matrix[(spots * 104729 + 1) % len(matrix), column]
    usable = np.isfinite(low) & np.isfinite(high)
    rows, column, low, high = rows[usable], column[usable], low[usable], high[usable]
    whole = np.array([interface.features[index].type in WHOLE for index in column], dtype=bool)

    def at(values: Floats) -> Matrix:
        moved = rows.copy()
        moved[np.arange(len(rows)), column] = values
        return moved

    if not len(rows):
        return rows, rows, whole
    known = score(at(low))
    for _ in range(HALVINGS):
        middle = (low.astype(np.float64) + high) / 2
        middle = np.where(whole, np.trunc(middle), middle).astype(np.float32)
        same = (score(at(middle)) == known).all(axis=1)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return at(low), at(high), whole


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
