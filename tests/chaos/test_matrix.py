"""The crash matrix: each kind of process is killed at each boundary that it reaches, and what was promised holds afterwards.

The boundaries are not listed anywhere: a first run of each scene writes down those that the code has (``tests.chaos.boundaries``).
``make chaos`` kills at all of them, the suite at some.
"""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.chaos import acts
from tests.chaos.boundaries import Boundary, Plan, recorded
from tests.chaos.host import Callers, Host, lost_or_doubled
from tests.chaos.report import Deaths
from treadle.registry.tracking import Tracking
from treadle.settings import Settings, Workspace

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(3000)]

WHOLE = os.environ.get("TREADLE_TEST_CHAOS") == "all"
SOME = {"controller": 4, "training": 4, "worker": 2, "shipper": 2, "supervisor": 1}
"""How many boundaries of each kind of process the suite takes, evenly."""


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("mlflow"), Settings())
    with Tracking(workspace).client():
        return workspace.home / "mlflow.db"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, mlflow: Path) -> Path:
    """A workspace in which a turn is about to be opened."""
    root = tmp_path_factory.mktemp("ready") / "workspace"
    assert acts.in_a_process(acts.prepare, root, mlflow) == 0
    return root


def chosen(found: list[Boundary]) -> list[Boundary]:
    """Return the boundaries to die at: all of them, or some evenly."""
    some = len(found) if WHOLE else min(SOME[found[0].role], len(found))
    return [found[place * len(found) // some] for place in range(some)]


TURN = (
    "the next one ends the turn, once; one champion; one verdict of each kind; no run left RUNNING; every bundle whole; the record verifies"
)
ONE_VERSION = "the next try leaves one version, and no run RUNNING; every bundle and snapshot is whole; the record verifies"
ONCE = "each answered row and label is in the store once, and in the profile once; logged but unanswered at most what was in flight; no 5xx"


def copy(ready: Path, folder: Path) -> Path:
    """Return a workspace of its own, like the one that was made ready."""
    folder.mkdir(parents=True)
    shutil.copytree(ready, folder / "workspace", symlinks=True)
    return folder / "workspace"


def wrong_after(root: Path, *, outcome: str | None, versions: int) -> list[str]:
    answer = root.parent / "wrong.json"
    assert acts.in_a_process(acts.look, root, answer, outcome, versions) == 0
    found: list[str] = json.loads(answer.read_text())
    return found


def test_the_controller_dies_anywhere_and_the_turn_ends_once(ready: Path, tmp_path: Path) -> None:
    root = copy(ready, tmp_path / "calm")
    home, record = str(root / ".treadle"), tmp_path / "boundaries"
    assert acts.in_a_process(acts.turn_the_loop, root, plan=Plan(home, record=str(record)), role="controller") == 0
    assert wrong_after(root, outcome="promoted", versions=2) == []
    # The worker and the shipper of this scene live in the controller's process; they have scenes of their own.
    found = [one for one in recorded(record) if not one.site.startswith("treadle.serving")]
    assert len(found) > 30
    report = Deaths("controller", TURN)
    for number, boundary in enumerate(chosen(found)):
        root = copy(ready, tmp_path / str(number))
        plan = Plan(str(root / ".treadle"), boundary=boundary, mark=str(root / "mark"))
        died = acts.in_a_process(acts.turn_the_loop, root, plan=plan, role="controller") == -9
        again = acts.in_a_process(acts.turn_the_loop, root)
        report.saw(
            boundary,
            died=died,
            wrong=[*([] if again == 0 else ["the next one stumbled"]), *wrong_after(root, outcome="promoted", versions=2)],
        )
        shutil.rmtree(root.parent)
    report.close(len(found))


def test_a_training_dies_anywhere_and_the_next_try_leaves_one_version(ready: Path, tmp_path: Path) -> None:
    shutil.copytree(ready, tmp_path / "workspace")
    ready = tmp_path / "workspace"
    assert acts.in_a_process(acts.open_a_turn_that_trains, ready) == 0
    turn = json.loads((ready / "turn").read_text())
    root = copy(ready, tmp_path / "calm")
    home, record = str(root / ".treadle"), tmp_path / "boundaries"
    assert acts.in_a_process(acts.train_a_challenger, root, *turn, plan=Plan(home, record=str(record)), role="training") == 0
    assert wrong_after(root, outcome=None, versions=2) == []
    found = recorded(record)
    assert len(found) > 30
    report = Deaths("training", ONE_VERSION)
    for number, boundary in enumerate(chosen(found)):
        root = copy(ready, tmp_path / str(number))
        plan = Plan(str(root / ".treadle"), boundary=boundary, mark=str(root / "mark"))
        died = acts.in_a_process(acts.train_a_challenger, root, *turn, plan=plan, role="training") == -9
        again = acts.in_a_process(acts.train_a_challenger, root, *turn)
        report.saw(
            boundary, died=died, wrong=[*([] if again == 0 else ["the next one stumbled"]), *wrong_after(root, outcome=None, versions=2)]
        )
        shutil.rmtree(root.parent)
    report.close(len(found))


def serve_and_die(ready: Path, folder: Path, port: int, boundary: Boundary | None) -> tuple[bool, list[str]]:
    """Serve from a workspace of its own until ``boundary`` has killed a process, and a while longer; return that, and what is wrong."""
    root = copy(ready, folder)
    record = "" if boundary else str(folder / "boundaries")
    plan, mark = Plan(str(root / ".treadle"), record=record, boundary=boundary, mark=str(root / "mark")), root / "mark"
    with Host(root, port, plan) as host, Callers(host.url) as callers:
        callers.until(200)
        deadline = time.monotonic() + 20
        while boundary is not None and not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        callers.until(60)
    return mark.exists(), lost_or_doubled(root, callers, kills=1, before=180)


@pytest.mark.parametrize("role", ["worker", "shipper", "supervisor"])
def test_a_host_dies_anywhere_and_every_answer_is_in_the_store_once(ready: Path, tmp_path: Path, role: str, free_port: int) -> None:
    died, wrong = serve_and_die(ready, tmp_path / "calm", free_port, None)
    assert (died, wrong) == (False, [])
    found = [one for one in recorded(tmp_path / "calm" / "boundaries") if one.role == role]
    assert found
    report = Deaths(role, ONCE)
    for number, boundary in enumerate(chosen(found)):
        died, wrong = serve_and_die(ready, tmp_path / str(number), free_port, boundary)
        report.saw(boundary, died=died, wrong=wrong)
        shutil.rmtree(tmp_path / str(number))
    report.close(len(found))
