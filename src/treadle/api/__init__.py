"""The Python API: what each command does, as a function. ``import treadle`` offers all of them, as in ``treadle.train("churn")``."""

from treadle.api.abtest import ab_report, ab_start, ab_stop
from treadle.api.adopt import adopt, publish
from treadle.api.audit import events, events_accept_restart, events_follow, events_verify
from treadle.api.check import check
from treadle.api.consent import approve, pause, reject, resume
from treadle.api.data import validate
from treadle.api.draft import init
from treadle.api.drill import drill
from treadle.api.keys import keys_create, keys_list, keys_revoke, keys_rotate
from treadle.api.labels import labels_import
from treadle.api.live import label, predict, predict_file, run_demo, run_loop, serve, simulate, up
from treadle.api.look import diff, doctor, drift, schema, status, why
from treadle.api.model import evaluate, gate, promote, rollback, switch, train
from treadle.api.recovery import backup, restore
from treadle.api.replay import replay
from treadle.api.retention import gc, reset
from treadle.api.shadow import shadow

__all__ = [
    "ab_report",
    "ab_start",
    "ab_stop",
    "adopt",
    "approve",
    "backup",
    "check",
    "diff",
    "doctor",
    "drift",
    "drill",
    "evaluate",
    "events",
    "events_accept_restart",
    "events_follow",
    "events_verify",
    "gate",
    "gc",
    "init",
    "keys_create",
    "keys_list",
    "keys_revoke",
    "keys_rotate",
    "label",
    "labels_import",
    "pause",
    "predict",
    "predict_file",
    "promote",
    "publish",
    "reject",
    "replay",
    "reset",
    "restore",
    "resume",
    "rollback",
    "run_demo",
    "run_loop",
    "schema",
    "serve",
    "shadow",
    "simulate",
    "status",
    "switch",
    "train",
    "up",
    "validate",
    "why",
]
