"""Who says what is true in a learned world: small boosted trees, each fitted on a part of the known rows.

A teacher is a smooth guess at the relation between rows and target. It gives chances (or a value), never a label: those are
drawn. It keeps its leaves large, and a row that it was fitted on is judged by other trees than its own where it matters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from treadle.spec import CategoryFeature, Interface

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Labels = NDArray[np.int64] | NDArray[np.float64]
Positions = NDArray[np.intp]

NATIVE = 250
"""Most categories that the trees tell apart without an order; of more, the index in the contract is taken as a number."""

TREES = 300
"""About how many trees a member has, over all classes."""

LEAST = 1e-4
"""Smallest chance of a class."""


@dataclass(frozen=True)
class Growth:
    """How closely the trees follow the rows: leaves per tree, and rows per leaf."""

    leaves: int
    rows: int


TEACHER = Growth(leaves=5, rows=20)
STUDENT = Growth(leaves=16, rows=10)
"""A student stands for the model that will be served: it learns as greedily as such models do."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """Members that were fitted on different parts of the rows, and what each said of the part that it had not seen.

    ``unseen`` is float64 [n, k]: chances in the order of the interface's classes, or one column with the value of a regression.
    """

    interface: Interface
    members: tuple[Any, ...]
    unseen: Floats

    def scores(self, matrix: Matrix) -> Floats:
        """Return what the members say of rows on the average, float64 [n, k]."""
        return np.mean(self.each(matrix), axis=0)  # type: ignore[no-any-return]

    def each(self, matrix: Matrix) -> list[Floats]:
        """Return what every member says of rows, float64 [n, k] each."""
        return [_said(member, self.interface, matrix) for member in self.members]


def teach(interface: Interface, matrix: Matrix, y: Labels, units: Positions, growth: Growth, seed: int) -> Teacher:
    """Fit a teacher on rows, float32 [n, f], and their target; rows of one unit (an entity) stay in one part."""
    part_of_row = _parts(interface, y, units, seed)
    parts = range(int(part_of_row.max()) + 1)
    members = tuple(_member(interface, growth, seed + part).fit(matrix[part_of_row != part], y[part_of_row != part]) for part in parts)
    unseen = np.empty((len(y), interface.score_count))
    for part in parts:
        unseen[part_of_row == part] = _said(members[part], interface, matrix[part_of_row == part])
    return Teacher(interface, members, unseen)


def _parts(interface: Interface, y: Labels, units: Positions, seed: int, parts: int = 4) -> Positions:
    """Deal the units out to the parts, class by class (or by the value of a regression), so that each part has its share."""
    random = np.random.default_rng(seed)
    _, first = np.unique(units, return_index=True)
    order = np.lexsort((random.random(len(first)), y[first]))
    if interface.task == "regression":  # neighbours by value are dealt out in random order
        order = np.concatenate([random.permutation(run) for run in np.array_split(order, max(1, len(order) // parts))])
    part_of_unit = np.empty(len(first), dtype=np.intp)
    part_of_unit[order] = np.arange(len(first)) % parts
    return part_of_unit[units]


def _member(interface: Interface, growth: Growth, seed: int) -> Any:
    features = interface.features
    settings = {
        "learning_rate": 0.1,
        "max_iter": max(20, TREES // (1 if interface.task != "multiclass" else interface.score_count) // 3),
        "max_leaf_nodes": growth.leaves,
        "min_samples_leaf": growth.rows,
        "l2_regularization": 2.0,
        "categorical_features": [isinstance(one, CategoryFeature) and len(one.categories) <= NATIVE for one in features],
        "early_stopping": False,
        "random_state": seed,
    }
    return HistGradientBoostingRegressor(**settings) if interface.task == "regression" else HistGradientBoostingClassifier(**settings)


def _said(member: Any, interface: Interface, matrix: Matrix) -> Floats:
    if interface.task == "regression":
        return np.asarray(member.predict(matrix), dtype=np.float64)[:, None]
    chances = np.full((len(matrix), interface.score_count), LEAST)
    chances[:, member.classes_.astype(np.intp)] = np.maximum(member.predict_proba(matrix), LEAST)
    return chances / chances.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
