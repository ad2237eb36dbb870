"""Iris: the data that scikit-learn carries, a random forest, and a small simulated meadow."""

from pathlib import Path

import numpy as np
from pandas import DataFrame
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

MEASURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
PETALS = ["petal_length", "petal_width"]

SPREAD = 0.02
"""Standard deviation of the jitter, as a share of a measure's own."""

SHRINK = 0.6
"""What a dry summer leaves of a petal."""


def load(_path: Path | None) -> DataFrame:
    """Return the 150 flowers; they come with scikit-learn, so there is no file to read."""
    iris = load_iris()
    frame = DataFrame(iris.data, columns=MEASURES)
    frame["species"] = [str(iris.target_names[index]) for index in iris.target]
    return frame


def build(seed: int) -> RandomForestClassifier:
    """Return the unfitted estimator."""
    return RandomForestClassifier(n_estimators=100, n_jobs=1, random_state=seed)


def simulate(rows: DataFrame, seed: int) -> "Meadow":
    """Return a world that goes on growing such flowers."""
    return Meadow(rows, seed)


class Meadow:
    """Flowers like the known ones; after the shift a dry summer has shrunk every petal."""

    def __init__(self, rows: DataFrame, seed: int) -> None:
        self._rows = rows.reset_index(drop=True)
        self._spread = SPREAD * rows[MEASURES].std().to_numpy()
        self._random = np.random.default_rng(seed)

    def draw(self, count: int, *, shifted: bool = False) -> DataFrame:
        """Return the next ``count`` flowers with their species."""
        flowers = self._rows.iloc[self._random.integers(len(self._rows), size=count)].reset_index(drop=True)
        measures = flowers[MEASURES].to_numpy() + self._random.normal(size=(count, len(MEASURES))) * self._spread
        flowers[MEASURES] = np.round(np.clip(measures, 0.05, None), 2)
        if shifted:
            flowers[PETALS] = np.round(flowers[PETALS] * SHRINK, 2)
        return flowers
