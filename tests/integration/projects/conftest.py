"""The reference projects as they stand in the repository, and what a test of a world needs to score a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from treadle.bundle import profile
from treadle.data.frame import matrix, target
from treadle.monitoring import drift
from treadle.monitoring.drift import DriftReport
from treadle.projects import Project
from treadle.spec import load_contract
from treadle.training.pipeline import build_pipeline

PROJECTS = Path(__file__).resolve().parents[3] / "projects"


class Bench:
    """Fits and scores the estimator of a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.interface = project.contract.interface

    def fit(self, frame: DataFrame, seed: int) -> Pipeline:
        """Return the project's pipeline, fitted on all rows of the frame."""
        pipeline = build_pipeline(self.interface, self.project.hook("build")(seed))
        return pipeline.fit(matrix(self.interface, frame), target(self.interface, frame))

    def scores(self, model: Pipeline, frame: DataFrame) -> NDArray[np.float32]:
        """Return the scores of each row, float32 [n, classes]."""
        return model.predict_proba(matrix(self.interface, frame)).astype(np.float32)

    def roc_auc(self, model: Pipeline, frame: DataFrame) -> float:
        """Return the ROC-AUC of a binary model."""
        return float(roc_auc_score(target(self.interface, frame), self.scores(model, frame)[:, 1]))

    def accuracy(self, model: Pipeline, frame: DataFrame) -> float:
        """Return the share of rows with the right answer."""
        return float((self.scores(model, frame).argmax(axis=1) == target(self.interface, frame)).mean())

    def drift(self, model: Pipeline, reference: DataFrame, current: DataFrame, *, metric: str) -> DriftReport:
        """Compare rows with those that the model was trained on, as the controller does."""
        encoded, truth = matrix(self.interface, reference), target(self.interface, reference)
        lost = permutation_importance(model, encoded, truth, scoring=metric, n_repeats=1, max_samples=min(2000, len(truth)), random_state=0)
        importances = dict(zip(self.interface.feature_names, map(float, lost.importances_mean), strict=True))
        known = profile.build(self.interface, encoded, self.scores(model, reference))
        counts = known.layout.count(matrix(self.interface, current), self.scores(model, current))
        return drift.assess(known.layout, known.counts, counts, importances, self.project.contract.policy.drift)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Return a function that makes the bench of a project, under a policy overlay if one is named."""

    def make(name: str, overlay: str = "") -> Bench:
        return Bench(Project(PROJECTS / name, load_contract(PROJECTS / name / "model.yaml", overlay)))

    return make


@pytest.fixture(params=["made up", "Telco"])
def customers(request: pytest.FixtureRequest, bench: Callable[..., Bench]) -> Callable[[int], DataFrame]:
    """Return a function that gives churn's rows: the made-up ones of a seed, and the real ones where the mirror is."""
    hook: Callable[[str], Callable[..., Any]] = bench("churn").project.hook
    if request.param == "made up":
        return lambda seed: hook("synthesize")(7000, seed)
    path = request.getfixturevalue("mirror") / "telco_churn.csv"
    return lambda _: hook("load")(path)
