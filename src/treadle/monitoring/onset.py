"""When the trouble began: the most likely moment of change inside a window that alarmed. Pure.

Retraining takes rows from the onset on; too early an onset mixes the old world into the training, too late a one wastes rows.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy import floating

from treadle.bundle.profile import Layout, NumericColumn, merged

Counts = npt.NDArray[np.int64]
Losses = npt.NDArray[floating]

CRITICAL = 12.0
"""Squared, standardised difference of two means from which a change of losses is believed, wherever in the window it lies."""


def drift_onset(layout: Layout, reference: Counts, slices: Sequence[Counts]) -> int:
    """Return the index of the first slice of the changed world; 0 where it had changed before the window began.

    Args:
        layout: the columns and bins of the version's profile.
        reference: counts of the reference rows, int64 [layout.size].
        slices: the window cut in time, oldest first: counts over the same bins, one vector per slice, one slice at least.

    For each split the likelihood is taken that what lies before it comes from the reference, and what follows from a world of
    its own.
    """
    passed = np.cumsum(slices, axis=0)
    before = [np.zeros_like(reference), *passed[:-1]]
    found = [_likelihood(layout, reference, part, passed[-1] - part) for part in before]
    # Of equals the last: a slice without rows belongs to what came before it.
    return len(found) - 1 - int(np.argmax(found[::-1]))


def loss_onset(losses: Losses) -> int:
    """Return the index from which on the losses (float [n], in the order of time) are larger; 0 where no such moment stands out.

    The split is that of least squares into a lower mean and then a higher one.
    """
    n = len(losses)
    if n < 2:
        return 0
    sizes = np.arange(1, n)
    deficits = -np.cumsum(losses - losses.mean())[:-1]
    gains = np.where(deficits > 0, deficits**2 * n / (sizes * (n - sizes)), 0.0)
    best = int(np.argmax(gains))
    noise = losses.var()
    return int(sizes[best]) if noise > 0 and gains[best] > CRITICAL * (noise - gains[best] / n) else 0


def _likelihood(layout: Layout, reference: Counts, before: Counts, after: Counts) -> float:
    parts = zip(layout.columns, *(layout.split(counts).values() for counts in (reference, before, after)), strict=True)
    total = 0.0
    for column, known, early, late in parts:
        numeric = isinstance(column, NumericColumn)
        known_early, early_counts = merged(known, early) if numeric else (known, early)
        late_counts = merged(known, late)[1] if numeric else late
        total += _log_likelihood(early_counts, known_early) + _log_likelihood(late_counts, late_counts)
    return total


def _log_likelihood(counts: Counts, seen: Counts) -> float:
    """Return the log-likelihood of ``counts`` under the shares of ``seen``, to which half a row is added in each bin."""
    return float(counts @ np.log((seen + 0.5) / (seen.sum() + len(seen) / 2)))
