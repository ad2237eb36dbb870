"""How much of the damage was repaired: old model, new model and an oracle, on rows from after the change that nobody trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treadle.bundle.place import BundlePlace
from treadle.data.frame import matrix, target
from treadle.engine.session import Engine
from treadle.projects import Project
from treadle.simulation.world import World
from treadle.training.metrics import METRICS
from treadle.training.pipeline import build_pipeline

JUDGED_ROWS = 20_000
ORACLE_ROWS = 20_000
HEALED_FROM = 0.8
"""Share of the gap to the oracle that must be closed."""


@dataclass(frozen=True)
class Healing:
    """One metric of the old model before the change, of the old one after it, of the present champion, and of the oracle."""

    metric: str
    before: float
    during: float
    after: float
    oracle: float

    @property
    def closed(self) -> float:
        """The share of the gap between the old model and the oracle that the present champion closes."""
        gap = self.oracle - self.during
        return (self.after - self.during) / gap if gap else 1.0

    @property
    def healed(self) -> bool:
        """Whether enough of the gap is closed."""
        return self.closed >= HEALED_FROM


def measure(project: Project, bundles: BundlePlace, world: World, digests: Mapping[str, str], *, seed: int) -> Healing:
    """Measure on fresh draws from ``world``: ``digests`` names the bundles of the "first" and of the "last" champion."""
    metric = project.contract.metric
    first, last = (Engine(bundles.get(digests[name])) for name in ("first", "last"))
    calm, changed = world.draw(JUDGED_ROWS), world.draw(JUDGED_ROWS, shifted=True)
    return Healing(
        metric,
        before=_score(project, metric, calm, first.run(_matrix(project, calm))),
        during=_score(project, metric, changed, first.run(_matrix(project, changed))),
        after=_score(project, metric, changed, last.run(_matrix(project, changed))),
        oracle=_score(project, metric, changed, _oracle(project, world.draw(ORACLE_ROWS, shifted=True), changed, seed)),
    )


def _oracle(project: Project, train: pd.DataFrame, judged: pd.DataFrame, seed: int) -> np.ndarray:
    """Return what the same estimator says when it has seen as much of the new world as one could wish for."""
    interface = project.contract.interface
    pipeline = build_pipeline(interface, project.hook("build")(seed))
    pipeline.fit(_matrix(project, train), target(interface, train))
    rows = _matrix(project, judged)
    scores = pipeline.predict_proba(rows) if interface.target.classes else pipeline.predict(rows)[:, None]
    return np.asarray(scores, dtype=np.float32)


def _matrix(project: Project, frame: pd.DataFrame) -> np.ndarray:
    return matrix(project.contract.interface, frame)


def _score(project: Project, metric: str, frame: pd.DataFrame, scores: np.ndarray) -> float:
    interface = project.contract.interface
    return float(METRICS[metric](target(interface, frame), scores, interface))
