"""A sealed bundle with a real profile, for tests of what counts by it; its graph is never run."""

import numpy as np

from treadle.bundle import profile
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle, BundlePlace
from treadle.spec import Interface, NumberFeature, Target

INTERFACE = Interface(
    task="binary",
    target=Target(name="left", classes=("no", "yes")),
    features=(NumberFeature(name="tenure", type="number"), NumberFeature(name="calls", type="number")),
)

LINEAGE = Lineage(
    data_digest="d", data_source="test", simulated=True, rows=200, seed=0, interface_digest="i", code_digest="c", python="3.11", packages={}
)


def seal(place: BundlePlace, *, card: bytes = b"{}", rows: int = 200) -> Bundle:
    """Put a bundle for ``INTERFACE`` into ``place``; its reference is ``rows`` uniform rows."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 10, (rows, 2)).astype(np.float32)
    chance = rng.uniform(size=rows).astype(np.float32)
    content = profile.build(INTERFACE, matrix, np.stack([1 - chance, chance], axis=1)).to_bytes()
    files = {"model.onnx": b"a graph", "interface.json": INTERFACE.model_dump_json().encode(), "profile.json": content, "card.json": card}
    return place.put(files, "toy", LINEAGE)
