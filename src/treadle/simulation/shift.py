"""How a learned world changes: who comes, and what it means.

The rows move towards one end of a feature that counts, and what counts most works the other way round: as few features as it
takes until the old relation is worth little while there is as much to learn as before. All of it is found from the data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treadle.simulation.likeness import Likeness
from treadle.simulation.teacher import Matrix, Teacher
from treadle.simulation.truth import Truth
from treadle.spec import BooleanFeature, CategoryFeature, Interface

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

SAMPLE = 2000
"""Rows on which shifts are compared."""

FEW = 20
"""A number with no more different values than this is mirrored value by value, others at their quantiles."""

MIRRORED = 5
"""Most features that are mirrored."""

WEAK = 0.5
"""Share of its skill that the old relation may keep, ..."""

LEARNABLE = 0.85
"""... and share of the old skill that there must be to learn."""

FEWER = 0.5
"""Share of its part that each class keeps."""

AIM = 2.0
"""Population stability index that the moved feature shall reach."""

STEEPEST = 8.0
BINS = 20
HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Mirror:
    """Sends the values of a column to their images: the smallest number to the largest, the strongest category to the weakest.

    ``keys`` are its values, sorted; ``images`` has the image of each, and ``places`` where it stands between the two ends.
    """

    column: int
    keys: Matrix
    images: Matrix
    places: Positions

    def __call__(self, matrix: Matrix) -> Matrix:
        """Return the rows with the column mirrored; what is missing or unknown stays."""
        mirrored = matrix.copy()
        mirrored[:, self.column] = np.where(self._known(matrix), self.images[self._at(matrix)], matrix[:, self.column])
        return mirrored

    def ranks(self, matrix: Matrix) -> Floats:
        """Return where each row stands between the two ends, 0 to 1; in the middle what is missing or unknown."""
        places = np.where(self._known(matrix), self.places[self._at(matrix)], np.nan)
        return np.asarray(pd.Series(places).rank(pct=True).fillna(0.5), dtype=np.float64)

    def _known(self, matrix: Matrix) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = matrix[:, self.column] >= self.keys[0]
        return known

    def _at(self, matrix: Matrix) -> Positions:
        return np.minimum(np.searchsorted(self.keys, matrix[:, self.column]), len(self.keys) - 1)


@dataclass(frozen=True, eq=False)
class State:
    """One state of the world: the chance of each known row to be the model of a new one, float64 [n], and what is true."""

    weights: Floats
    truth: Truth
    mirrors: tuple[Mirror, ...] = ()

    def said(self, teacher: Teacher, matrix: Matrix) -> Floats:
        """Return what the teacher says of the rows as they count in this state."""
        return teacher.scores(_through(self.mirrors, matrix))


def shifted(likeness: Likeness, teacher: Teacher, before: State, shares: Floats, seed: int) -> State:
    """Return the state after the shift; ``shares`` are those of the classes, which stay."""
    random = np.random.default_rng(seed)
    some = likeness.matrix(before.weights, SAMPLE, random)
    said = teacher.scores(some)
    learnable = before.truth.skill(said, before.truth.expected(said))
    mirrors = _by_effect(teacher, some, said)
    best, most = before, -np.inf
    for weights in _populations(likeness, mirrors):
        rows = likeness.matrix(weights, SAMPLE, random)
        old = before.truth.expected(teacher.scores(rows))
        for count in range(1, min(len(mirrors), MIRRORED) + 1):
            new = teacher.scores(_through(mirrors[:count], rows))
            truth = before.truth.with_shares(new, shares)
            kept, reach = truth.skill(new, old), truth.skill(new, truth.expected(new))
            even = truth.expected(new).mean(axis=0) >= FEWER * shares
            good = (kept <= WEAK * reach) + (reach >= LEARNABLE * learnable) + bool(even.all() or truth.noise)
            if good + reach - kept > most:
                best, most = State(weights, truth, tuple(mirrors[:count])), good + reach - kept
            if good == 3:
                return best
    return best


def _through(mirrors: Sequence[Mirror], matrix: Matrix) -> Matrix:
    for mirror in mirrors:
        matrix = mirror(matrix)
    return matrix


def _by_effect(teacher: Teacher, some: Matrix, said: Floats) -> list[Mirror]:
    """Return the mirrors of all columns that have one, those that change most of what is said first."""
    mirrors = [_mirror(teacher.interface, column, some, said) for column in range(some.shape[1])]
    effects = [(float(np.abs(teacher.scores(mirror(some)) - said).mean()), mirror) for mirror in mirrors if mirror is not None]
    return [mirror for _, mirror in sorted(effects, key=lambda pair: -pair[0])]


def _mirror(interface: Interface, column: int, some: Matrix, said: Floats) -> Mirror | None:
    values = some[:, column]
    values = values[values >= 0] if _listed(interface, column) else values[np.isfinite(values)]
    keys = np.unique(values)
    if len(keys) < 2:
        return None
    if _listed(interface, column):
        varies = said[:, int(said.var(axis=0).argmax())]
        order = np.argsort([varies[some[:, column] == key].mean() for key in keys], kind="stable")
        places = np.argsort(order)
        return Mirror(column, keys, keys[order[::-1]][places], places)
    places = np.arange(len(keys))
    if len(keys) <= FEW:
        return Mirror(column, keys, keys[::-1], places)
    ordered = np.sort(values)
    middle = (np.searchsorted(ordered, keys, "left") + np.searchsorted(ordered, keys, "right") - 1) // 2
    return Mirror(column, keys, ordered[len(ordered) - 1 - middle], places)


def _listed(interface: Interface, column: int) -> bool:
    return isinstance(interface.features[column], CategoryFeature | BooleanFeature)


def _populations(likeness: Likeness, mirrors: Sequence[Mirror]) -> list[Floats]:
    """Return the chances of the known rows when they move to either end of a column, those that can be moved far first.

    They are as many columns as are mirrored at most.
    """
    ends = [end for mirror in mirrors[:MIRRORED] for end in _ends(mirror.ranks(likeness.known))]
    ends.sort(key=lambda end: end[0] < AIM / 2)
    return [weights for _, weights in ends]


def _ends(ranks: Floats) -> Iterator[tuple[float, Floats]]:
    """Yield, for both ends of a column, the stability index of a move there and the chances of the known rows after it."""
    groups = np.unique(np.ceil(ranks * BINS), return_inverse=True)[1]
    for sign in (1, -1):
        low, high = 0.0, STEEPEST
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if _index(groups, _chances(ranks, sign * middle)) < AIM else (low, middle)
        weights = _chances(ranks, sign * high)
        yield _index(groups, weights), weights


def _chances(ranks: Floats, slope: float) -> Floats:
    weights = np.exp(slope * ranks)
    return weights / weights.sum()  # type: ignore[no-any-return]


def _index(groups: NDArray[np.intp], weights: Floats) -> float:
    before = np.bincount(groups) / len(groups)
    after = np.bincount(groups, weights=weights)
    return float(np.sum((after - before) * np.log(after / before)))
