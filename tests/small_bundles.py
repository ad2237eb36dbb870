"""Real bundles around tiny graphs: one that answers, one that fails on some rows, one that is slow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from treadle.bundle import profile
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle, BundlePlace
from treadle.spec import Interface, NumberFeature, Target, canonical_json

CLASSES = ("no", "yes")

INTERFACE = Interface(
    task="binary",
    target=Target(name="left", classes=CLASSES),
    features=(
        NumberFeature(name="tenure", type="integer", min=0, max=100, example=1),
        NumberFeature(name="spend", type="number", min=0, max=1000, example=20),
    ),
    entity="customer",
)

WIDER = INTERFACE.model_copy(update={"features": (*INTERFACE.features, NumberFeature(name="visits", type="integer", min=0, max=9))})
"""An interface that asks for one feature more."""

VALUE = Interface(task="regression", target=Target(name="price"), features=(NumberFeature(name="rooms", type="number", min=0, max=10),))

CARD: Mapping[str, Any] = {"metrics": {"roc_auc": {"value": 0.84}}}

ROW = {"tenure": 2, "spend": 30.5}


def answering(lean: float = 0.0, features: int = 2, slope: float = 0.01, *, gaps: bool = False) -> bytes:
    """Return a graph that answers every row: the larger the features, the surer of the first class. ``lean`` moves its scores.

    With ``gaps`` a missing value counts as 0; without it, nothing is said of such rows.
    """
    weights = np.full((features, 2), slope, dtype=np.float32) * np.array([1, -1], dtype=np.float32)
    nodes = [
        helper.make_node("Gemm", ["whole" if gaps else "matrix", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    constants: dict[str, np.ndarray] = {"weights": weights, "bias": np.array([0, lean], dtype=np.float32)}
    if gaps:
        nodes = [helper.make_node("IsNaN", ["matrix"], ["gap"]), helper.make_node("Where", ["gap", "nought", "matrix"], ["whole"]), *nodes]
        constants["nought"] = np.array(0, dtype=np.float32)
    return _graph(nodes, constants, features, 2)


def valuing() -> bytes:
    """Return the graph of a regression: three times the rooms."""
    return _graph([helper.make_node("Mul", ["matrix", "three"], ["scores"])], {"three": np.array([3], dtype=np.float32)}, 1, 1)


def failing(features: int = 2) -> bytes:
    """Return a graph that fails on rows whose first feature is above 1: it looks for their scores in a table of two."""
    nodes = [
        helper.make_node("Gather", ["matrix", "zero"], ["tenure"], axis=1),
        helper.make_node("Cast", ["tenure"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "place"], ["scores"], axis=0),
    ]
    table = np.array([[0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
    return _graph(nodes, {"zero": np.array(0, dtype=np.int64), "table": table}, features, 2)


def slow(steps: int = 60) -> bytes:
    """Return a graph that takes some milliseconds a row: the more is spent, the surer it is of the first class."""
    width = 1000
    lean = np.array([1, -1], dtype=np.float32) / width**2
    nodes = [
        helper.make_node("Gather", ["matrix", "spend"], ["wide0"], axis=1),
        *(helper.make_node("MatMul", [f"wide{step}", "in" if step == 0 else "square"], [f"wide{step + 1}"]) for step in range(steps)),
        helper.make_node("MatMul", [f"wide{steps}", "out"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    square = np.full((width, width), 1 / width, dtype=np.float32)
    constants: dict[str, np.ndarray] = {
        "spend": np.array([1], dtype=np.int64),
        "in": np.ones((1, width), dtype=np.float32),
        "square": square,
    }
    return _graph(nodes, {**constants, "out": np.tile(lean, (width, 1))}, 2, 2)


def put(
    folder: Path,
    graph: bytes,
    interface: Interface = INTERFACE,
    model: str = "churn",
    *,
    card: Mapping[str, Any] = CARD,
    **made_of: Any,
) -> Bundle:
    """Seal a bundle around a graph, and keep it in a folder of bundles; ``made_of`` changes its lineage."""
    generator = np.random.default_rng(0)
    matrix = generator.integers(0, 10, (100, len(interface.features))).astype(np.float32)
    scores = generator.random((100, interface.score_count)).astype(np.float32)
    files = {
        "model.onnx": graph,
        "interface.json": canonical_json(interface.model_dump(mode="json")),
        profile.PROFILE_FILE: profile.build(interface, matrix, scores).to_bytes(),
        "card.json": msgspec.json.encode(card),
    }
    facts: dict[str, Any] = {
        "data_digest": "d" * 64,
        "data_source": "mirror",
        "simulated": False,
        "rows": 100,
        "seed": 42,
        "interface_digest": interface.digest,
        "code_digest": "c" * 64,
        "python": "3.11",
        "packages": {},
    }
    return BundlePlace(folder).put(files, model, Lineage(**{**facts, **made_of}))


def flip(folder: Path, digest: str, file: str = "model.onnx") -> None:
    """Flip one byte of a sealed file."""
    path = folder / digest / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _graph(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], features: int, scores: int) -> bytes:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", scores])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content
