"""Fit a pipeline on the training rows and measure it on rows it has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pandas import DataFrame
from sklearn.pipeline import Pipeline

from treadle.data.frame import matrix, target
from treadle.data.split import Split, split
from treadle.errors import ClassUnseen
from treadle.spec import Contract, Interface
from treadle.training.bootstrap import interval
from treadle.training.importance import importances
from treadle.training.metrics import Floats, Labels, baseline_scores, measure
from treadle.training.pipeline import build_pipeline, scores_of

Build = Callable[[int], Any]
"""A project's ``build(seed)``: returns the unfitted estimator."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows: ``matrix`` float32 [n, f], ``y`` class indexes or values [n], and which of them are held out."""

    matrix: npt.NDArray[np.float32]
    y: Labels
    split: Split

    @property
    def holdout(self) -> tuple[npt.NDArray[np.float32], Labels]:
        """The matrix and the target of the rows that are held out."""
        return self.matrix[self.split.holdout], self.y[self.split.holdout]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted pipeline and what was measured of it.

    ``metrics``, ``intervals`` and ``baseline`` are over the holdout; ``cv`` holds mean and standard deviation over the folds.
    ``scored`` are positions of rows, and the float32 scores that a model not fitted on them gave: what live scores look like.
    """

    pipeline: Pipeline
    rows: Rows
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    cv: dict[str, dict[str, float]]
    baseline: dict[str, float]
    importances: dict[str, float]
    scored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def fit(contract: Contract, build: Build, frame: DataFrame, seed: int) -> Fitted:
    """Split the rows of ``frame``, fit on the training part, and measure.

    Raises:
        SplitImpossible: there are too few rows.
        TargetInvalid: a target is missing or is not a class of the contract.
        ClassUnseen: no training row is of some class.
    """
    interface = contract.interface
    rows = Rows(matrix(interface, frame), target(interface, frame), split(interface, frame, seed))
    return fit_rows(contract, build, rows, seed)


def fit_rows(contract: Contract, build: Build, rows: Rows, seed: int) -> Fitted:
    """Fit on the training rows of a split that is already made. What is held out is scored and measured, never learned from.

    Raises:
        ClassUnseen: no training row is of some class.
    """
    interface, (held, y_held) = contract.interface, rows.holdout
    missing = _missing_classes(interface, rows.y[rows.split.train])
    if missing:
        raise ClassUnseen(missing, len(rows.split.train))
    pipeline = _fitted(interface, build(seed), rows, rows.split.train)
    scores = scores_of(pipeline, interface, held)
    folds = _folds(interface, build, rows, seed)
    metrics = measure(interface, y_held, scores)
    return Fitted(
        pipeline,
        rows,
        metrics,
        {name: interval(name, interface, y_held, scores, seed=seed) for name in metrics},
        _over_folds([measure(interface, rows.y[judge], given) for judge, given in folds]),
        measure(interface, y_held, baseline_scores(interface, rows.y[rows.split.train], len(y_held))),
        importances(pipeline, interface, contract.metric, (held, y_held), seed=seed),
        _joined([*folds, (rows.split.holdout, scores)]),
    )


def _fitted(interface: Interface, estimator: Any, rows: Rows, train: npt.NDArray[np.int64]) -> Pipeline:
    return build_pipeline(interface, estimator).fit(rows.matrix[train], rows.y[train])


def _folds(interface: Interface, build: Build, rows: Rows, seed: int) -> list[tuple[npt.NDArray[np.int64], Floats]]:
    """Return each fold's judged rows and the scores of a model of the others; a fold that cannot learn every class is left out."""
    learnable = [fold for fold in rows.split.folds if not _missing_classes(interface, rows.y[fold[0]])]
    return [(judge, scores_of(_fitted(interface, build(seed), rows, learn), interface, rows.matrix[judge])) for learn, judge in learnable]


def _missing_classes(interface: Interface, y: Labels) -> list[str]:
    return [name for index, name in enumerate(interface.target.classes) if not (y == index).any()]


def _over_folds(values: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of each metric that is defined on every fold."""
    names = [name for name in values[0] if all(name in fold for fold in values)] if values else []
    of_name = {name: [fold[name] for fold in values] for name in names}
    return {name: {"mean": float(np.mean(some)), "std": float(np.std(some))} for name, some in of_name.items()}


def _joined(parts: Sequence[tuple[npt.NDArray[np.int64], Floats]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts]).astype(np.float32)
