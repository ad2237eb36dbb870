"""The Python API: what each command does, as a function. ``import treadle`` offers all of them, as in ``treadle.train("churn")``."""

from treadle.api.live import label, predict, run_demo, run_loop, serve, simulate
from treadle.api.look import drift, schema, status, why
from treadle.api.model import evaluate, gate, promote, rollback, train

__all__ = [
    "drift",
    "evaluate",
    "gate",
    "label",
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
    "why",
]
