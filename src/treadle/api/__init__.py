"""The Python API: what each command does, as a function. ``import treadle`` offers all of them, as in ``treadle.train("churn")``."""

from treadle.api.labels import labels_import
from treadle.api.live import label, predict, run_demo, run_loop, serve, simulate, up
from treadle.api.look import doctor, drift, schema, status, why
from treadle.api.model import evaluate, gate, promote, rollback, train

__all__ = [
    "doctor",
    "drift",
    "evaluate",
    "gate",
    "label",
    "labels_import",
    "predict",
    "promote",
    "rollback",
    "run_demo",
    "run_loop",
    "schema",
    "serve",
    "simulate",
    "status",
    "train",
    "up",
    "why",
]
