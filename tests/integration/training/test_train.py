"""From a project's folder to a sealed bundle that answers as the pipeline does, the same one each time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treadle.bundle.place import BundlePlace
from treadle.engine.session import Engine
from treadle.errors import NotExportable
from treadle.projects import Project, find
from treadle.settings import Settings, Workspace
from treadle.training.lineage import Origin
from treadle.training.pipeline import scores_of
from treadle.training.train import Trained, latency, train

CONTRACT = """
name: loans
data: [{kind: simulated, rows: 600}]
interface:
  task: binary
  target: {name: repaid, classes: ["no", "yes"]}
  preprocessing: {categories: codes}
  split: {by: random, holdout: 0.25, folds: 3}
  features:
    - {name: income, type: number, required: false}
    - {name: kind, type: category, categories: [house, car, other]}
    - {name: years, type: integer}
    - {name: earlier, type: boolean}
"""

CODE = """
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier


def build(seed):
    return LGBMClassifier(
        n_estimators=20, num_leaves=7, subsample=0.7, subsample_freq=1, colsample_bytree=0.8, random_state=seed,
        n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1,
    )


def synthesize(rows, seed):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "income": np.where(random.random(rows) < 0.1, np.nan, random.gamma(3, 1000, rows)),
        "kind": random.choice(["house", "car", "other"], rows),
        "years": random.integers(1, 30, rows),
        "earlier": random.random(rows) < 0.5,
    })
    chance = frame["income"].fillna(3000) / 1500 - frame["years"] / 10 + (frame["kind"] == "house") + random.normal(0, 0.5, rows)
    frame["repaid"] = np.where(chance > chance.median(), "yes", "no")
    return frame
"""

TRAIN = """
import sys
from pathlib import Path
from treadle.projects import find
from treadle.settings import Settings, Workspace
from treadle.training.lineage import Origin
from treadle.training.train import train

workspace = Workspace(Path(sys.argv[1]), Settings(home=Path("other")))
project = find(workspace, "loans")
frame = project.hook("synthesize")(600, 1)
print(train(project, frame, Origin("digest", "simulation", simulated=True), seed=42, workspace=workspace).bundle.digest)
"""

ORIGIN = Origin("digest", "simulation", simulated=True)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    folder = root / "projects" / "loans"
    folder.mkdir(parents=True)
    (root / "treadle.toml").write_text("")
    (folder / "model.yaml").write_text(CONTRACT)
    (folder / "model.py").write_text(CODE)
    return Workspace(root, Settings())


@pytest.fixture(scope="module")
def project(workspace: Workspace) -> Project:
    return find(workspace, "loans")


@pytest.fixture(scope="module")
def frame(project: Project) -> pd.DataFrame:
    made: pd.DataFrame = project.hook("synthesize")(600, 1)
    return made


@pytest.fixture(scope="module")
def trained(workspace: Workspace, project: Project, frame: pd.DataFrame) -> Trained:
    return train(project, frame, ORIGIN, seed=42, workspace=workspace)


def test_the_bundle_answers_as_the_pipeline_does(workspace: Workspace, project: Project, trained: Trained) -> None:
    kept = BundlePlace(workspace.bundle_dir).get(trained.bundle.digest)
    matrix = trained.fitted.rows.holdout[0]
    native = scores_of(trained.fitted.pipeline, project.contract.interface, matrix)
    assert Engine(kept).run(matrix) == pytest.approx(native, abs=1e-6)
    assert kept.interface == project.contract.interface
    assert kept.card["metrics"]["roc_auc"] == pytest.approx(trained.fitted.metrics["roc_auc"], rel=1e-5)
    assert kept.card["metrics"]["roc_auc"] > 0.8
    assert kept.card["parity"]["share_beyond"] == 0.0
    assert kept.manifest.lineage.rows == 600


def test_the_reference_counts_every_row_once(trained: Trained) -> None:
    profile = trained.bundle.profile
    assert profile.rows == 600
    assert [column.name for column in profile.layout.columns] == ["income", "kind", "years", "earlier", "prediction", "score"]


def test_the_reference_may_be_other_rows(workspace: Workspace, project: Project, frame: pd.DataFrame, trained: Trained) -> None:
    other = train(project, frame, ORIGIN, seed=42, workspace=workspace, reference=frame.head(100))
    assert other.bundle.profile.rows == 100
    assert other.bundle.files["model.onnx"] == trained.bundle.files["model.onnx"]


def test_the_same_data_and_seed_give_the_same_bundle_in_another_process_too(
    workspace: Workspace, project: Project, frame: pd.DataFrame, trained: Trained
) -> None:
    assert train(project, frame, ORIGIN, seed=42, workspace=workspace).bundle.digest == trained.bundle.digest
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, workspace.root], capture_output=True, text=True, check=True, timeout=100, env=environment
    )
    assert done.stdout.strip() == trained.bundle.digest


def test_another_seed_or_other_rows_give_another_bundle(
    workspace: Workspace, project: Project, frame: pd.DataFrame, trained: Trained
) -> None:
    seeded = train(project, frame, ORIGIN, seed=43, workspace=workspace)
    fewer = train(project, frame.head(500), ORIGIN, seed=42, workspace=workspace)
    assert len({seeded.bundle.files["model.onnx"], fewer.bundle.files["model.onnx"], trained.bundle.files["model.onnx"]}) == 3


def test_a_model_that_cannot_be_exported_leaves_no_bundle(tmp_path: Path, project: Project, frame: pd.DataFrame) -> None:
    folder = tmp_path / "projects" / "loans"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(CONTRACT)
    (folder / "model.py").write_text(
        "from sklearn.neighbors import KNeighborsClassifier\n\n\ndef build(seed):\n    return KNeighborsClassifier()\n"
    )
    workspace = Workspace(tmp_path, Settings())
    with pytest.raises(NotExportable, match=r"The step 'estimator' \(KNeighborsClassifier\)"):
        train(find(workspace, "loans"), frame, ORIGIN, seed=1, workspace=workspace)
    assert not workspace.bundle_dir.exists()


def test_latency_is_the_95th_percentile_of_single_rows(trained: Trained) -> None:
    now = 0.0
    calls = 0

    def clock() -> float:
        nonlocal now, calls
        calls += 1
        now += 0.01 if calls <= 2 * 20 else 0.001  # the first 20 rows take ten times as long
        return now

    rows = trained.fitted.rows.holdout[0]
    assert latency(Engine(trained.bundle), rows, clock=clock) == pytest.approx(0.01)
    assert calls == 400
    assert 0 < trained.latency < 1
    assert isinstance(rows, np.ndarray)
