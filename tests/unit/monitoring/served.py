"""A deployed model with logged traffic, as the shipper and the gate leave it, for tests of what watches it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.unit.serving.sealed import INTERFACE, LINEAGE
from treadle.bundle import profile
from treadle.bundle.place import Bundle, BundlePlace
from treadle.projects import Project
from treadle.spec import Contract, DriftPolicy, LabelPolicy, Policy, QualityPolicy, SimulatedSource, canonical_json
from treadle.state import deployments, joins, log
from treadle.state.deployments import Slot
from treadle.state.log import Part
from treadle.state.store import Store

Floats = npt.NDArray[np.float32]

POLICY = Policy(
    drift=DriftPolicy(window=600, min_rows=400),
    quality=QualityPolicy(window=600, min_rows=200),
    labels=LabelPolicy(maturity=100),
)

PROJECT = Project(Path("toy"), Contract(name="toy", data=(SimulatedSource(kind="simulated"),), interface=INTERFACE, policy=POLICY))

CARD = {"metrics": {"roc_auc": 0.85}, "importances": {"tenure": 0.8, "calls": 0.2}}

BUCKET = 10.0


class Traffic:
    """A seeded world of two features: rows at given times, what a version answers, and what turned out to be true."""

    def __init__(self, store: Store, bundles: BundlePlace) -> None:
        self.store = store
        self._rng = np.random.default_rng(0)
        matrix, scores, _ = self._draw(3000)
        files = {
            "model.onnx": b"a graph",
            "interface.json": INTERFACE.model_dump_json().encode(),
            "profile.json": profile.build(INTERFACE, matrix, scores).to_bytes(),
            "card.json": canonical_json(CARD),
        }
        self.bundle: Bundle = bundles.put(files, "toy", LINEAGE)
        self._count = 0

    def deploy(self, version: int, *, expected: int = 0) -> None:
        """Give ``version`` all traffic."""
        slots = [Slot("champion", version, self.bundle.digest, 1.0)]
        with self.store.write() as conn:
            deployments.insert(conn, "toy", expected=expected, slots=slots, reason="a test", at=0.0)

    def serve(self, times: Sequence[float], *, version: int = 1, moved: float = 0.0, broken: bool = False, labelled: bool = True) -> None:
        """Log a prediction at each time. ``moved`` shifts the inputs; ``broken``: the answers have nothing to do with the truth."""
        matrix, scores, truth = self._draw(len(times), moved=moved, broken=broken)
        numbers = range(self._count, self._count + len(times))
        self._count += len(times)
        rows = [
            {
                "prediction_id": f"p{number}",
                "model": "toy",
                "version": version,
                "digest": self.bundle.digest,
                "generation": 1,
                "role": "champion",
                "at": float(at),
                "seconds": 0.001,
                "status": "ok",
                "error": None,
                "request_id": None,
                "entity": None,
                "row": matrix[place].tobytes(),
                "scores": scores[place].tobytes(),
                "answer": "{}",
                "fallback": False,
            }
            for place, (number, at) in enumerate(zip(numbers, times, strict=True))
        ]
        labels = [
            {
                "label_id": f"l{number}",
                "model": "toy",
                "prediction_id": f"p{number}",
                "request_id": None,
                "entity": None,
                "value": INTERFACE.target.classes[truth[place]],
                "event_at": float(at),
                "received_at": float(at),
            }
            for place, (number, at) in enumerate(zip(numbers, times, strict=True))
        ]
        with self.store.write() as conn:
            log.insert_predictions(conn, rows)
            for part in self._parts(version, np.asarray(times), matrix, scores):
                log.add_part(conn, f"segment-{self._count}", 0, part)
            if labelled:
                log.insert_labels(conn, labels)
                joins.resolve_labels(conn, now=0.0, expire={})

    def _parts(self, version: int, times: npt.NDArray[np.float64], matrix: Floats, scores: Floats) -> Iterator[Part]:
        digest, layout = self.bundle.profile.digest, self.bundle.profile.layout
        buckets = times // BUCKET * BUCKET
        for bucket in np.unique(buckets):
            chosen = buckets == bucket
            yield Part("toy", version, digest, float(bucket), layout.count(matrix[chosen], scores[chosen]), int(chosen.sum()))

    def _draw(self, n: int, *, moved: float = 0.0, broken: bool = False) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """Return matrix, scores and the index of the true class; the chance that the model gives is right unless it is ``broken``."""
        matrix = self._rng.normal([moved, 0.0], 1.0, (n, 2))
        chance = 1 / (1 + np.exp(-2.5 * matrix[:, 1]))
        truth = (self._rng.uniform(size=n) < (1 - chance if broken else chance)).astype(np.int64)
        scores = np.stack([1 - chance, chance], axis=1)
        return matrix.astype(np.float32), scores.astype(np.float32), truth
