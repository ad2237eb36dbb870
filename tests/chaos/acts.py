"""What a process does until it is killed, and what the next one finds: each act is run in a fresh process that may die in it."""

import json
import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import small_bundles
from tests.chaos import boundaries
from tests.integration.retraining.conftest import CUT, START, Night, told_apart, write_project
from treadle import api
from treadle.errors import BundleCorrupt, BundleInvalid, TreadleError
from treadle.registry.library import ViewType
from treadle.settings import MARKER, Workspace
from treadle.state import heads, turns
from treadle.state.turns import Turn

JUDGED_AT = START + 200
"""When the rows that judge the challenger were answered."""

BACK = 15.0
"""Seconds after which a process that was killed is followed by the next: by then its lease has run out."""

ROUNDS = 60

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(["tests.chaos.acts"])


def in_a_process(act: Callable[..., Any], *arguments: Any, plan: boundaries.Plan | None = None, role: str = "") -> int:
    """Run an act in a process of its own, watched by ``plan``; return how that ended, as ``Process.exitcode`` has it."""
    process = _fork.Process(target=_watched, args=(act, arguments, plan, role))
    process.start()
    process.join(100)
    assert process.exitcode is not None, f"{act.__name__} has not come to an end"
    return process.exitcode


def _watched(act: Callable[..., Any], arguments: tuple[Any, ...], plan: boundaries.Plan | None, role: str) -> None:
    if plan is not None:
        boundaries.install(role, plan)
    try:
        act(*arguments)
    except BaseException:
        traceback.print_exc()
        raise


# the workspace


def prepare(root: Path, mlflow: Path) -> None:
    """Make a workspace with a champion, an alarm, rows to train on, and later ones to judge by."""
    root.mkdir()
    (root / MARKER).write_text("offline = true\ncontroller_port = 0\ncontroller_seconds = 0.1\n")
    workspace = Workspace.find(root)
    write_project(workspace)
    workspace.home.mkdir()
    (workspace.home / "mlflow.db").write_bytes(mlflow.read_bytes())
    night = Night(workspace)
    heads.begin(night.store, workspace.home, at=START - 1000)
    night.champion()
    night.log(told_apart(120), since=CUT)
    night.log(told_apart(60), since=JUDGED_AT)
    night.alarm(onset=CUT - 100)
    night.close()
    _set_clock(root, START)


def _clock(root: Path) -> float:
    return float(json.loads((root / "clock").read_text()))


def _set_clock(root: Path, now: float) -> None:
    (root / "clock").write_text(json.dumps(now))


def _night(root: Path) -> Night:
    os.environ["TREADLE_WORKSPACE"] = str(root)
    night = Night(Workspace.find(root))
    night.now = _clock(root) + BACK
    return night


# the acts


def turn_the_loop(root: Path) -> None:
    """Let the controller go round until the turn that it opens is over."""
    night = _night(root)
    controller = night.controller()
    for _ in range(ROUNDS):
        night.now += 1
        _set_clock(root, night.now)
        turn = _newest(night)
        if turn is not None and turn.outcome is not None:
            break
        _help_along(night, turn)
        controller.round()
    night.close()


def _newest(night: Night) -> Turn | None:
    return next(iter(night.turns()), None)


def _help_along(night: Night, turn: Turn | None) -> None:
    """Do what other processes would: train the challenger, answer requests."""
    if turn is None:
        return
    if turn.step == "train" and night.tracking.find_by_turn("churn", turn.id) is None:
        night.register(small_bundles.answering(lean=1.0), turn=turn.id, cut=turn.data["cut"])
    elif turn.step == "judge":
        night.now = max(night.now, JUDGED_AT + 100)
    elif turn.step == "canary":
        night.serve([(1, 150.0)] * 30)


def train_a_challenger(root: Path, turn: str, snapshot: str) -> None:
    """Train for a turn, as the controller's subprocess does."""
    os.environ["TREADLE_WORKSPACE"] = str(root)
    api.train("churn", seed=1, turn=turn, snapshot=snapshot, cut=CUT)


def open_a_turn_that_trains(root: Path) -> None:
    """Leave a turn at the step in which a challenger is trained, and write down which."""
    night = _night(root)
    opened = night.open_turn("train", snapshot=night.trained_on()[0], cut=CUT, rows=1)
    (root / "turn").write_text(json.dumps([opened.id, opened.data["snapshot"]]))
    night.close()


# what must hold afterwards


def look(root: Path, answer: Path, outcome: str | None, versions: int) -> None:
    """Write down in ``answer`` what is not as it was promised after a turn that ends as ``outcome``; None: it is still at its training."""
    night = _night(root)
    wrong = [*_turns(night, outcome), *_versions(night, versions), *_bundles(night), *_record(night)]
    if outcome == "promoted" and night.roles() != {"champion": 2}:
        wrong.append(f"the roles are {night.roles()}")
    night.close()
    answer.write_text(json.dumps(wrong))


def _turns(night: Night, outcome: str | None) -> list[str]:
    with night.store.read() as conn:
        found = turns.recent(conn, "churn")
    ends = night.events("turn.closed")
    wrong = [] if len(found) == 1 else [f"there are {len(found)} turns"]
    if found and found[0].outcome != outcome:
        wrong.append(f"the turn has ended {found[0].outcome}: {found[0].reason}")
    if len(ends) != (outcome is not None):
        wrong.append(f"the end of the turn is told {len(ends)} times")
    verdicts = [(event.data["kind"], event.data["version"]) for event in night.events("verdict.recorded")]
    return wrong + ([] if len(verdicts) == len(set(verdicts)) else [f"the verdicts are {verdicts}"])


def _versions(night: Night, expected: int) -> list[str]:
    wrong = []
    found = night.tracking.versions("churn")
    if len(found) != expected:
        wrong.append(f"there are {len(found)} versions of {expected}")
    with night.tracking.client() as client:
        experiments = [one.experiment_id for one in client.search_experiments(view_type=ViewType.ALL)]
        running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    return wrong + [f"run {run.info.run_id} is still RUNNING" for run in running]


def _bundles(night: Night) -> list[str]:
    wrong = []
    for digest in night.bundles.digests():
        try:
            night.bundles.get(digest)
        except (BundleCorrupt, BundleInvalid) as error:
            wrong.append(str(error))
    for snapshot in night.snapshots.list("churn"):
        night.snapshots.load("churn", snapshot.digest)
    return wrong


def _record(night: Night) -> list[str]:
    try:
        heads.audit(night.store, night.workspace.home)
    except TreadleError as error:
        return [str(error)]
    return []
