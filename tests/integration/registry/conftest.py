"""Bundles made by hand for iris: real graphs, small enough to read, and planted faults."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from treadle.bundle import profile
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle
from treadle.projects import Project, find
from treadle.registry.tracking import Tracking
from treadle.settings import Workspace
from treadle.spec import Interface, canonical_json
from treadle.state.store import Store, open_store

SPECIES = np.array([[0.0, 0.0, -4.0, -4.0], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 2.0, 4.0]], dtype=np.float32).T
"""Weights of a linear model that tells iris species apart by their petals."""
BIAS = np.array([10.0, 2.0, -10.0], dtype=np.float32)
LABOUR = 900
"""Side of the square matrix that a slow graph multiplies in vain."""


def graph(weights: np.ndarray = SPECIES, *, slow: bool = False) -> bytes:
    """Return a graph from four measurements to three scores."""
    nodes = [
        helper.make_node("MatMul", ["matrix", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(BIAS, "bias")]
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
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["n", 4])],
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
    rows = np.random.default_rng(0).uniform(0, 7, (50, 4)).astype(np.float32)
    scores = np.full((50, 3), 1 / 3, dtype=np.float32)
    return {
        "model.onnx": content,
        "interface.json": canonical_json(interface.model_dump(mode="json")),
        "profile.json": profile.build(interface, rows, scores).to_bytes(),
        "card.json": canonical_json(dict(card)),
    }


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
