"""How much each feature matters: what the metric loses when the feature's values are shuffled among rows not trained on."""

import numpy as np
from sklearn.pipeline import Pipeline

from treadle.spec import Interface
from treadle.training.metrics import Floats, Labels, better, find
from treadle.training.pipeline import scores_of

SHUFFLES = 5


def importances(pipeline: Pipeline, interface: Interface, metric: str, rows: tuple[Floats, Labels], *, seed: int) -> dict[str, float]:
    """Return each feature's share of the loss, by name; the shares sum to 1, and are equal where no feature matters.

    ``rows`` are the matrix float32 [n, f] and the target of rows that the pipeline was not fitted on.
    """
    matrix, y = rows
    measure, generator = find(metric, interface), np.random.default_rng(seed)
    base = measure(y, scores_of(pipeline, interface, matrix), interface)
    again = np.tile(np.arange(len(y)), SHUFFLES)
    losses = {}
    for column, feature in enumerate(interface.features):
        shuffled = matrix[again]
        shuffled[:, column] = np.concatenate([generator.permutation(matrix[:, column]) for _ in range(SHUFFLES)])
        value = measure(y[again], scores_of(pipeline, interface, shuffled), interface)
        losses[feature.name] = max(0.0, better(metric) * (base - value))
    total = sum(losses.values())
    return {name: loss / total if total > 0 else 1 / len(losses) for name, loss in losses.items()}
