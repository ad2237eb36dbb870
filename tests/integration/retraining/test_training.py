"""The real training of a turn, in a process of its own that may die, hang, be killed with its controller, or outlive it."""

import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests import crew
from tests.integration.retraining.conftest import CODE, CUT, START, Night, told_apart, write_project
from treadle.data.frame import entities
from treadle.registry.tracking import TURN_TAG
from treadle.retraining import steps
from treadle.retraining.controller import Controller
from treadle.retraining.trainer import NICENESS, Trainer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MIXED = told_apart(200)
HANGING = CODE.replace("return LogisticRegression()", "import time; time.sleep(600)")

WATCH = f"""
import threading
from prometheus_client import CollectorRegistry
from treadle.monitoring.metrics import ControllerMetrics
from treadle.retraining.controller import Controller
from treadle.settings import Workspace
from treadle.state.store import open_store
workspace = Workspace.find()
Controller(workspace, open_store(workspace.store_url), ControllerMetrics(CollectorRegistry()), clock=lambda: {START}).run(threading.Event())
"""


def until(true: Callable[[], object]) -> None:
    """Wait for a training, which needs the processor more."""
    crew.until(true, seconds=250, every=0.3)


def trainings(night: Night) -> list[psutil.Process]:
    """Return the processes that train for the newest turn."""
    turn, everyone = night.turn().id, psutil.process_iter(["cmdline", "status"])
    return [one for one in everyone if turn in (one.info["cmdline"] or []) and one.info["status"] != psutil.STATUS_ZOMBIE]


def runs(night: Night) -> list[str]:
    """Return the states of the runs of the newest turn, oldest first."""
    with night.tracking.client() as client:
        found = client.search_runs([night.tracking.experiment("churn")], f"tags.`{TURN_TAG}` = '{night.turn().id}'")
        return [run.info.status for run in sorted(found, key=lambda run: run.info.start_time)]


def training(night: Night) -> Controller:
    """Return a controller whose training has just begun."""
    night.champion()
    night.log(MIXED, since=CUT)
    night.open_turn(onset=CUT)
    controller = night.controller()
    controller.round()
    assert night.turn().step == "train"
    controller.round()
    assert controller.training
    return controller


def test_a_training_makes_one_version_that_knows_its_turn_its_rows_and_their_cut(night: Night) -> None:
    controller = training(night)
    (process,) = trainings(night)
    assert process.nice() == NICENESS
    until(lambda: controller.round() and not controller.training)
    turn = night.turn()
    assert turn.step == "judge", turn.reason
    registered = night.tracking.version("churn", turn.data["version"])
    assert (registered.turn_id, registered.digest) == (turn.id, turn.data["digest"])
    assert [one.version for one in night.tracking.versions("churn")] == [1, 2]
    made_of = night.bundles.get(registered.digest).manifest.lineage
    assert (made_of.cut, made_of.turn_id, made_of.rows) == (turn.data["cut"], turn.id, 200)
    assert turn.data["cut"] == pytest.approx(CUT + 20)
    # And its judges are later, and others.
    night.log(MIXED[:50], since=CUT + 100)
    night.log(MIXED[:20], since=CUT + 200, entities=[f"e{number}" for number in range(20)])
    controller.round()
    measured = night.verdict(2, "gate").evidence["measured"]
    assert measured["comparison"]["paired"]["n"] == 50
    frame, _ = night.snapshots.load("churn", turn.data["snapshot"])
    assert entities(night.project.contract.interface, frame) == {f"e{number}" for number in range(200)}


def test_a_training_that_dies_ends_the_turn_with_its_last_words_and_its_log(night: Night) -> None:
    night.champion()
    night.log([(1.0, 60.0, "yes")] * 200, since=CUT)
    night.open_turn(onset=CUT)
    controller = night.controller()
    controller.round()
    controller.round()
    until(lambda: controller.round() and not controller.training)
    turn = night.turn()
    assert turn.outcome == "training failed"
    log = night.workspace.home / "logs" / f"train-{turn.id}.log"
    assert turn.reason is not None
    assert turn.reason.startswith("The training failed: it ended with code 1: ")
    assert "do not keep the contract. - left: no row has the class no" in turn.reason
    assert turn.reason.endswith(f"Its log is {log}.")
    assert log.is_file()
    assert runs(night) == ["FAILED"]
    assert night.roles() == {"champion": 1}


def test_a_training_past_its_time_limit_is_ended(night: Night) -> None:
    write_project(night.workspace, code=HANGING)
    controller = training(night)
    (process,) = trainings(night)
    until(lambda: runs(night) == ["RUNNING"])
    night.now += 1001
    controller.round()
    assert not process.is_running()
    assert night.turn().outcome == "training failed"
    assert "retrain.time_limit" in (night.turn().reason or "")
    assert runs(night) == ["KILLED"]


def test_the_training_of_a_turn_that_a_person_made_needless_is_ended(night: Night) -> None:
    write_project(night.workspace, code=HANGING)
    controller = training(night)
    (process,) = trainings(night)
    until(lambda: runs(night) == ["RUNNING"])
    night.champion()
    night.promote(2)
    controller.round()
    assert night.turn().outcome == "superseded"
    assert not controller.training
    assert not process.is_running()
    assert "RUNNING" not in runs(night)


def test_the_training_of_a_controller_that_was_replaced_is_ended(night: Night) -> None:
    write_project(night.workspace, code=HANGING)
    suspended = training(night)
    (process,) = trainings(night)
    night.now += 60
    assert night.controller().round()
    assert not suspended.round()
    assert not process.is_running()
    assert len(trainings(night)) == 1


def test_a_training_dies_with_its_killed_controller_and_the_next_one_makes_the_version(night: Night) -> None:
    night.champion()
    night.log(MIXED, since=CUT)
    night.open_turn(onset=CUT)
    night.store.close()
    first = subprocess.Popen([sys.executable, "-c", WATCH])
    until(lambda: night.turn().step == "train" and runs(night) == ["RUNNING"])
    (process,) = trainings(night)
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    night.now += 60
    controller = night.controller()
    until(lambda: controller.round() and night.turn().step == "judge")
    assert len(night.tracking.versions("churn")) == 2
    assert sorted(runs(night)) == ["FINISHED", "KILLED"]


def test_two_trainings_for_one_turn_make_one_version(night: Night) -> None:
    night.champion()
    night.log(MIXED, since=CUT)
    night.open_turn(onset=CUT)
    night.controller().round()
    turn = night.turn()
    assert steps.train(night.desk, night.project, turn) is None
    other = Trainer(night.workspace, turn, deadline=night.now + 100)
    until(lambda: other.poll(night.now) is not None and night.desk.trainers[turn.id].poll(night.now) is not None)
    assert other.poll(night.now) == ""
    assert len(night.tracking.versions("churn")) == 2
    assert runs(night) == ["FINISHED"]
    with night.tracking.client() as client:
        client.delete_model_version("churn", "2")
    ended = steps.train(night.desk, night.project, turn)
    assert isinstance(ended, steps.End)
    assert "it registered no version" in ended.reason
