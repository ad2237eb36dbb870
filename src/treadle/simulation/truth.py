"""What is true of a row in a learned world: the chances of the classes, or a value and its noise. Targets are drawn from it.

The relation is a teacher's. How sure it is, is set so that a student, who learned from the known rows as the served model does,
is as good on new rows of the world as it was on known rows that it had not seen. ``said`` is what the teacher says of rows,
float64 [n, k]: chances in the order of the classes, or one column with the value.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from treadle.simulation.teacher import Labels, Matrix, Teacher
from treadle.spec import Interface
from treadle.training.metrics import METRICS

Floats = NDArray[np.float64]

FARTHEST = 4.0
"""How far the chances may be sharpened or blunted, and the noise made smaller or larger."""

STEPS = 12
MOST_OFFSET = float(np.log(4))
"""How far the shares of classes are pushed: past this the labels would be noise."""

NEAR = 0.02
"""The noise of a value is that of known rows with nearly the same value: so large a share of them."""


@dataclass(frozen=True, eq=False)
class Noise:
    """What a teacher of values misses: ``residuals`` in the order of what it ``said`` of known rows, float64 [n] each.

    Drawn values stay between ``low`` and ``high``, and are ``whole`` where the known ones are.
    """

    said: Floats
    residuals: Floats
    low: float
    high: float
    whole: bool

    def around(self, values: Floats, random: np.random.Generator) -> Floats:
        """Return the values, each with the noise of a known row that is like it."""
        near = max(3, int(NEAR * len(self.said)))
        at = np.searchsorted(self.said, values) + random.integers(-near, near + 1, size=len(values))
        drawn = np.clip(values + self.residuals[np.clip(at, 0, len(self.said) - 1)], self.low, self.high)
        kept: Floats = np.round(drawn) if self.whole else drawn
        return kept


@dataclass(frozen=True, eq=False)
class Truth:
    """How targets follow from what a teacher says of rows.

    ``power`` sharpens its chances, and ``offsets`` [k] are added to their logarithms; a regression has ``noise`` instead.
    """

    interface: Interface
    power: float = 1.0
    offsets: Floats | float = 0.0
    noise: Noise | None = None

    def expected(self, said: Floats) -> Floats:
        """Return the chances of the classes, or the value without noise, float64 [n, k]."""
        return said if self.noise is not None else _sharpened(said, self.power, self.offsets)

    def draw(self, said: Floats, random: np.random.Generator) -> Labels:
        """Return a fresh target for each row: the index of a class, or a value."""
        if self.noise is not None:
            return self.noise.around(said[:, 0], random)
        bounds = self.expected(said).cumsum(axis=1)[:, :-1]
        drawn: NDArray[np.int64] = (random.random((len(said), 1)) > bounds).sum(axis=1).astype(np.int64)
        return drawn

    def skill(self, said: Floats, scores: Floats) -> float:
        """Return how good these scores of the rows may be expected to be: 0 knows nothing, 1 is always right."""
        expected = self.expected(said)
        if self.noise is None:
            return 2 * _area(self.interface, expected, scores) - 1
        missed = float(np.mean(self.noise.residuals**2))
        return 1 - (missed + float(np.mean((scores - expected) ** 2))) / (missed + float(np.var(expected)))

    def with_shares(self, said: Floats, shares: Floats) -> "Truth":
        """Return this truth with offsets that give the classes these shares over the rows; a regression is as it was."""
        if self.noise is not None:
            return self
        offsets = np.zeros(len(shares))
        for _ in range(STEPS):
            offsets += np.log(shares / _sharpened(said, self.power, offsets).mean(axis=0))
            offsets = np.clip(offsets - np.median(offsets), -MOST_OFFSET, MOST_OFFSET)
        return replace(self, offsets=offsets)


def shares_of(interface: Interface, y: Labels) -> Floats:
    """Return the share of each class, float64 [k], none of them 0; for a regression a single 1."""
    if interface.task == "regression":
        return np.ones(1)
    counts = np.bincount(y.astype(np.intp), minlength=interface.score_count)
    return np.maximum(counts, 0.5) / len(y)


def as_true(teacher: Teacher, student: Teacher, y: Labels, matrix: Matrix) -> Truth:
    """Return the truth in which new rows, float32 [n, f], are as hard for the student as ``y`` was on unseen known rows.

    Where there are few rows of a class, how hard they were is hardly known; they are not taken for harder than they may be.
    """
    interface, said, judged = teacher.interface, teacher.scores(matrix), student.each(matrix)
    if interface.task == "regression":
        apart = float(np.mean([np.mean((scores - said) ** 2) for scores in judged]))
        return Truth(interface, noise=_noise(teacher, np.asarray(y, dtype=np.float64), _missed(student, y) - apart))
    known, shares = np.eye(interface.score_count)[y.astype(np.intp)], shares_of(interface, y)
    wanted = _area(interface, known, student.unseen)
    wanted += np.sqrt(wanted * (1 - wanted) / (len(y) * min(shares.min(), 1 - shares.max())))
    low, high = -np.log(FARTHEST), np.log(FARTHEST)
    truth = Truth(interface)
    for _ in range(STEPS):
        middle = (low + high) / 2
        truth = Truth(interface, power=float(np.exp(middle))).with_shares(said, shares)
        reached = np.mean([_area(interface, truth.expected(said), scores) for scores in judged])
        low, high = (middle, high) if reached < wanted else (low, middle)
    return truth


def _missed(teacher: Teacher, y: Labels) -> float:
    return float(np.mean((y - teacher.unseen[:, 0]) ** 2))


def _noise(teacher: Teacher, y: Floats, wanted: float) -> Noise:
    """Return the teacher's residuals on unseen rows, scaled to a mean square of ``wanted`` as far as is allowed."""
    said, residuals = teacher.unseen[:, 0], y - teacher.unseen[:, 0]
    share = wanted / max(_missed(teacher, y), np.finfo(float).tiny)
    order = np.argsort(said, kind="stable")
    scaled = np.sqrt(np.clip(share, 1 / FARTHEST, FARTHEST)) * residuals[order]
    return Noise(said[order], scaled, float(y.min()), float(y.max()), bool((y % 1 == 0).all()))


def _sharpened(chances: Floats, power: float, offsets: Floats | float) -> Floats:
    logs = power * np.log(chances) + offsets
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _area(interface: Interface, chances: Floats, scores: Floats) -> float:
    """Return the area under the ROC curve that is to be expected when the labels have these chances, float64 [n, k] both."""
    rows, classes = chances.shape
    labels = np.tile(np.arange(classes, dtype=np.int64), rows)
    every = np.repeat(scores, classes, axis=0)
    return float(METRICS["roc_auc"].weighted(labels, every, interface, chances.reshape(1, -1))[0])
