"""Bundles made by hand for iris: real graphs, small enough to read, and planted faults."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from pandas import DataFrame

from treadle.bundle import profile
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle, BundlePlace
from treadle.data.frame import matrix, target
from treadle.data.snapshot import SnapshotPlace
from treadle.data.split import split
from treadle.projects import Project, find
from treadle.registry.tracking import DIGEST_TAG, Tracking
from treadle.settings import Settings, Workspace
from treadle.spec import Interface, canonical_json
from treadle.state.log import LabelledRows
from treadle.state.store import Store, open_store
from treadle.training.lineage import holdout_digest

SPECIES = np.array([[0.0, 0.0, -4.0, -4.0], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 2.0, 4.0]], dtype=np.float32).T
"""Weights of a linear model that tells iris species apart by their petals."""
BIAS = np.array([10.0, 2.0, -10.0], dtype=np.float32)
LABOUR = 600
"""Side of the square matrix that a slow graph multiplies in vain."""


def graph(weights: np.ndarray = SPECIES, *, slow: bool = False, missing: float | None = None) -> bytes:
    """Return a graph from as many measurements as there are weights to three scores; ``missing`` is what stands in for NaN."""
    nodes = [
        helper.make_node("MatMul", ["matrix" if missing is None else "whole", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(BIAS, "bias")]
    if missing is not None:
        nodes = [
            helper.make_node("IsNaN", ["matrix"], ["gaps"]),
            helper.make_node("Where", ["gaps", "missing", "matrix"], ["whole"]),
            *nodes,
        ]
        constants.append(numpy_helper.from_array(np.float32(missing), "missing"))
    if slow:
        # It hangs on the input, so that it cannot be folded away when the graph is loaded.
        constants += [numpy_helper.from_array(np.array([LABOUR, LABOUR]), "side"), numpy_helper.from_array(np.float32(0), "nought")]
        nodes += [
            helper.make_node("ReduceSum", ["matrix"], ["sum"], keepdims=0),
            helper.make_node("Expand", ["sum", "side"], ["square"]),
            helper.make_node("MatMul", ["square", "square"], ["labour"]),
            helper.make_node("ReduceMean", ["labour"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "nought"], ["nothing"]),
            helper.make_node("Add", ["logits", "nothing"], ["late"]),
        ]
    nodes.append(helper.make_node("Softmax", ["late" if slow else "logits"], ["scores"], axis=1))
    made = helper.make_graph(
        nodes,
        "iris",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["n", len(weights)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        constants,
    )
    content: bytes = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()
    return content


def lineage(interface: Interface, **changes: Any) -> Lineage:
    """Return a lineage in which only what matters to a test is particular."""
    facts: dict[str, Any] = {
        "data_digest": "d" * 64,
        "data_source": "made by hand",
        "simulated": True,
        "rows": 150,
        "seed": 42,
        "interface_digest": interface.digest,
        "code_digest": "c" * 64,
        "python": "3.11",
        "packages": {},
    }
    return Lineage(**{**facts, **changes})


def files(interface: Interface, content: bytes, card: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a bundle around a graph."""
    rows = np.random.default_rng(0).uniform(0, 7, (50, len(interface.features))).astype(np.float32)
    scores = np.full((50, 3), 1 / 3, dtype=np.float32)
    return {
        "model.onnx": content,
        "interface.json": canonical_json(interface.model_dump(mode="json")),
        "profile.json": profile.build(interface, rows, scores).to_bytes(),
        "card.json": canonical_json(dict(card)),
    }


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database with its tables and nothing in them: to make them takes seconds."""
    workspace = Workspace(tmp_path_factory.mktemp("mlflow"), Settings())
    with Tracking(workspace).client():
        return workspace.home / "mlflow.db"


@pytest.fixture
def workspace(workspace: Workspace, empty_mlflow: Path) -> Workspace:
    workspace.home.mkdir()
    shutil.copy(empty_mlflow, workspace.home)
    return workspace


@pytest.fixture
def project(workspace: Workspace) -> Project:
    return find(workspace, "iris")


@pytest.fixture
def tracking(workspace: Workspace) -> Tracking:
    return Tracking(workspace)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    opened = open_store(workspace.store_url)
    yield opened
    opened.close()


@pytest.fixture
def bundle(project: Project) -> Callable[..., Bundle]:
    """Return a maker of bundles that hold a hand-made graph; arguments change the lineage, and so the digest."""

    def make(**changes: Any) -> Bundle:
        interface = project.contract.interface
        return Bundle.seal(files(interface, graph(), {}), "iris", lineage(interface, **changes))

    return make


GOOD = {
    "metrics": {"accuracy": 0.93, "f1_macro": 0.93},
    "baseline": {"accuracy": 0.33, "f1_macro": 0.17},
    "parity": {"rows": 100, "share_beyond": 0.0},
}
"""What a good card says; a planted fault must be found in spite of it."""


class Shelf:
    """Puts bundles made by hand where a training would have put them: among the bundles, and in MLflow."""

    def __init__(self, workspace: Workspace, project: Project) -> None:
        self.workspace = workspace
        self.project = project
        self.tracking = Tracking(workspace)
        self.bundles = BundlePlace(workspace.bundle_dir)
        self.frame: DataFrame = project.hook("load")(None)
        self.dvc_md5 = ""

    def snapshot(self, frame: DataFrame | None = None) -> str:
        """Keep the rows that the next bundles claim to be made from."""
        self.frame = self.frame if frame is None else frame
        self.dvc_md5 = SnapshotPlace(self.workspace.snapshot_dir).save("iris", self.frame, {"source": "made by hand"}).dvc_md5
        return self.dvc_md5

    def holdout(self, seed: int = 42) -> str:
        """Return the digest of what a training on the kept rows holds out."""
        interface = self.project.contract.interface
        held = split(interface, self.frame, seed).holdout
        return holdout_digest(matrix(interface, self.frame)[held], target(interface, self.frame)[held])

    def register(self, content: bytes | None = None, card: Mapping[str, Any] = GOOD, **changes: Any) -> int:
        """Register a version with this graph, without a run; ``changes`` go into its lineage. Return its number."""
        interface = self.project.contract.interface
        made_of = lineage(
            interface,
            **{"snapshot": self.dvc_md5 or self.snapshot(), "holdout_digest": self.holdout(changes.get("seed", 42)), **changes},
        )
        bundle = self.bundles.put(files(interface, content or graph(), card), "iris", made_of)
        with self.tracking.client() as client:
            if not client.search_registered_models("name = 'iris'"):
                client.create_registered_model("iris")
            return int(client.create_model_version("iris", "file:///made-by-hand", tags={DIGEST_TAG: bundle.digest}).version)

    def logged(self, *, since: float, entities: Sequence[str | None] | None = None) -> LabelledRows:
        """Return rows of the data as if they had been answered one second after another, and labelled."""
        rows = matrix(self.project.contract.interface, self.frame)
        count = len(rows)
        return LabelledRows(
            ids=[f"p{index}" for index in range(count)],
            at=np.arange(count, dtype=np.float64) + since + 1.0,
            version=np.ones(count, dtype=np.int64),
            role=["champion"] * count,
            entity=list(entities) if entities is not None else [None] * count,
            matrix=rows,
            scores=np.full((count, 3), 1 / 3, dtype=np.float32),
            labels=[str(label) for label in self.frame["species"]],
        )


@pytest.fixture
def shelf(workspace: Workspace, project: Project) -> Shelf:
    return Shelf(workspace, project)
