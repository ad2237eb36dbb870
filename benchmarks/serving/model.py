"""The model that all contenders answer with: trained by the project, deployed in Treadle, and the same fit as files for the others."""

from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt

from benchmarks import house
from treadle.bundle.place import MODEL_FILE, Bundle, BundlePlace
from treadle.data.sources import fetch
from treadle.projects import find
from treadle.settings import Workspace
from treadle.state import deployments
from treadle.state.store import open_store
from treadle.training.lineage import Origin
from treadle.training.pipeline import ESTIMATOR
from treadle.training.train import train

Floats = npt.NDArray[np.float64]

BATCH_ROWS = 1000
SURE = 0.01
"""How far the two likeliest classes of a row must lie apart: nearer, and a rounding decides which one is named."""


@dataclass(frozen=True, eq=False)
class Model:
    """The workspace where it is deployed, and the rows that are asked about.

    ``rows`` are float64 [n, f] with few decimals; ``probabilities`` [n, k] are what scikit-learn says of them. ``forest`` and ``graph``
    are the files of the fit: scikit-learn's by joblib, and the very ONNX file that Treadle serves.
    """

    workspace: Workspace
    features: tuple[str, ...]
    classes: tuple[str, ...]
    rows: Floats
    probabilities: Floats
    forest: Path
    graph: Path

    def batch(self, count: int = BATCH_ROWS) -> tuple[Floats, Floats]:
        """Return so many rows, the known ones again and again, and their probabilities."""
        places = np.arange(count) % len(self.rows)
        return self.rows[places], self.probabilities[places]


def make(folder: Path) -> Model:
    """Train and deploy the project in a workspace below ``folder``, as a person does, and write the fit into files.

    The fit is made once more in memory, because what is deployed holds no scikit-learn. Its graph shows that it is the same.
    """
    workspace = house.make(folder / "workspace", {"workers": 1})
    house.deploy_registered(workspace)
    project = find(workspace, house.MODEL)
    given = fetch(project, workspace, seed=house.SEED)
    made = train(project, given.frame, Origin(given.digest, given.source, given.simulated), seed=house.SEED, workspace=workspace)
    graph = _deployed(workspace).files[MODEL_FILE]
    if made.bundle.files[MODEL_FILE] != graph:
        raise SystemExit("The fit made once more is not the one that is deployed: nothing could be compared.")
    forest = made.fitted.pipeline.named_steps[ESTIMATOR]
    files = (folder / "model.joblib", folder / MODEL_FILE)
    joblib.dump(forest, files[0])
    files[1].write_bytes(graph)
    interface = project.contract.interface
    exact = given.frame[list(interface.feature_names)].drop_duplicates().to_numpy(np.float64)
    likely = np.asarray(forest.predict_proba(exact))
    ordered = np.sort(likely, axis=1)
    kept = ordered[:, -1] - ordered[:, -2] > SURE
    return Model(workspace, tuple(interface.feature_names), tuple(interface.target.classes), exact[kept], likely[kept], files[0], files[1])


def _deployed(workspace: Workspace) -> Bundle:
    store = open_store(workspace.store_url)
    try:
        with store.read() as conn:
            current = deployments.current(conn, house.MODEL)
    finally:
        store.close()
    if current is None or current.champion is None:
        raise SystemExit("Nothing is deployed, so nothing can be measured.")
    return BundlePlace.of(workspace).get(current.champion.digest)
