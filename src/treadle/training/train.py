"""One training, from rows to a sealed bundle: pipeline, fit, evaluation, export, parity, profile, card, bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from pandas import DataFrame

from treadle.bundle import profile
from treadle.bundle.place import CARD_FILE, INTERFACE_FILE, MEASURED_FILE, MODEL_FILE, Bundle, BundlePlace
from treadle.bundle.profile import PROFILE_FILE, Profile
from treadle.data.frame import matrix
from treadle.engine.session import Engine
from treadle.projects import Project
from treadle.settings import Workspace
from treadle.spec import canonical_json
from treadle.training import card
from treadle.training.export import to_onnx
from treadle.training.fit import Fitted, fit
from treadle.training.lineage import Origin, lineage
from treadle.training.parity import Parity, parity
from treadle.training.pipeline import around, scores_of

TIMED_ROWS = 200


@dataclass(frozen=True, eq=False)
class Trained:
    """A version, sealed and kept, with what led to it. ``latency`` is the p95 of one row in the engine, in seconds."""

    bundle: Bundle
    fitted: Fitted
    parity: Parity
    latency: float


def train(  # noqa: PLR0913 - what one training can be told
    project: Project,
    frame: DataFrame,
    origin: Origin,
    *,
    seed: int,
    workspace: Workspace,
    reference: DataFrame | None = None,
    published: Any = None,
) -> Trained:
    """Train on ``frame``, seal the version and keep it among the workspace's bundles.

    ``reference`` holds rows of the recent served population, for the profile; without it the data themselves are the
    reference. ``published`` is an estimator that was fitted elsewhere, on all of the rows perhaps: its graph is sealed, and all that is
    measured is measured on what ``build`` makes, fitted on the training rows alone. The same rows, seed, code and origin give the same
    bundle.

    Raises:
        ProjectCodeInvalid: model.py has no ``build``.
        SplitImpossible, TargetInvalid, ClassUnseen: these rows cannot be trained on.
        NotExportable: a step of the pipeline has no exact graph.
        InferenceFailed, GraphInvalid: the graph cannot answer.
    """
    interface = project.contract.interface
    fitted = fit(project.contract, project.hook("build"), frame, seed)
    measured = to_onnx(fitted.pipeline, interface)
    sealed = fitted.pipeline if published is None else around(interface, published)
    content = measured if published is None else to_onnx(sealed, interface)
    agreed = parity(sealed, content, interface, fitted.rows.holdout[0])
    made_of = lineage(project, workspace, origin, fitted.rows, seed)
    files = {
        MODEL_FILE: content,
        INTERFACE_FILE: canonical_json(interface.model_dump(mode="json")),
        PROFILE_FILE: _profile(project, fitted, reference).to_bytes(),
        CARD_FILE: canonical_json(card.measured(project.contract.metric, fitted, agreed, made_of, published=published is not None)),
    }
    if published is not None:
        files[MEASURED_FILE] = measured
    bundle = BundlePlace.of(workspace).put(files, project.name, made_of)
    return Trained(bundle, fitted, agreed, latency(Engine(bundle), fitted.rows.holdout[0]))


def latency(engine: Engine, rows: np.ndarray, *, clock: Callable[[], float] = perf_counter) -> float:
    """Return the 95th percentile of the seconds that one row takes, over ``rows``, float32 [n, f], taken one by one."""
    engine.warm()
    seconds = []
    for index in range(TIMED_ROWS):
        row = rows[index % len(rows)][None, :]
        start = clock()
        engine.run(row)
        seconds.append(clock() - start)
    return float(np.quantile(seconds, 0.95))


def _profile(project: Project, fitted: Fitted, reference: DataFrame | None) -> Profile:
    """Return the reference profile. Its scores come from models that did not see the rows, as live scores do."""
    interface = project.contract.interface
    if reference is None:
        positions, scores = fitted.scored
        return profile.build(interface, fitted.rows.matrix[positions], scores)
    rows = matrix(interface, reference)
    return profile.build(interface, rows, scores_of(fitted.pipeline, interface, rows).astype(np.float32))
