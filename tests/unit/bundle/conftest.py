"""A small interface, rows and scores for it, and the files of a bundle around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from treadle.bundle.manifest import Lineage
from treadle.bundle.place import BundlePlace
from treadle.bundle.profile import Floats, build
from treadle.spec import BooleanFeature, CategoryFeature, Interface, NumberFeature, Target, canonical_json

INTERFACE = Interface(
    task="binary",
    target=Target(name="left", classes=("no", "yes")),
    features=(
        NumberFeature(name="spend", type="number"),
        NumberFeature(name="visits", type="integer", required=False),
        CategoryFeature(name="plan", type="category", categories=("basic", "plus", "pro")),
        BooleanFeature(name="member", type="boolean"),
    ),
)

LINEAGE = Lineage(
    data_digest="d" * 64,
    data_source="mirror",
    simulated=False,
    rows=500,
    seed=42,
    interface_digest=INTERFACE.digest,
    code_digest="c" * 64,
    python="3.11",
    packages={"numpy": "2.0"},
)


def rows(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return a matrix with some missing and unseen values, and scores that add up to 1."""
    random = np.random.default_rng(seed)
    matrix = np.column_stack(
        [random.normal(50, 20, count), random.poisson(3, count), random.integers(-1, 3, count), random.integers(0, 2, count)]
    ).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.05] = np.nan
    positive = random.random(count).astype(np.float32)
    return matrix, np.column_stack([1 - positive, positive])


@pytest.fixture
def lineage() -> Lineage:
    return LINEAGE


@pytest.fixture
def files() -> dict[str, bytes]:
    return {
        "model.onnx": b"a graph",
        "interface.json": canonical_json(INTERFACE.model_dump(mode="json")),
        "profile.json": build(INTERFACE, *rows(500)).to_bytes(),
        "card.json": b'{"metrics": {"roc_auc": 0.8}}',
    }


@pytest.fixture
def place(tmp_path: Path) -> BundlePlace:
    return BundlePlace(tmp_path / "bundles")


@pytest.fixture
def flip() -> Callable[[Path], None]:
    """Return a function that flips one bit in the middle of a file."""

    def flipped(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flipped
