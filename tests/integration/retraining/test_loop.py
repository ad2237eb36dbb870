"""One turn by hand, a line per stage, and the controller as a process has it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.integration.retraining.conftest import Night, write_project
from treadle.errors import AlreadyChampion, PortTaken
from treadle.loop import Loop
from treadle.settings import Workspace
from treadle.simulation.world import open_world

pytestmark = pytest.mark.integration


def test_a_turn_by_hand_trains_gates_and_promotes(night: Night) -> None:
    told: list[str] = []
    loop = Loop(night.workspace, night.store, clock=night.clock, tell=lambda kind, **_: told.append(kind))
    assert loop.deployed(night.project) is None
    registered = loop.train(night.project, seed=1)
    assert told == ["data.snapshotted", "data.validated", "training.finished", "version.registered"]
    strict = write_project(night.workspace, gate={"minimum": {"roc_auc": 1.0}})
    refused, nothing = loop.promote(strict, 1)
    assert (refused.passed, nothing, loop.deployed(strict)) == (False, None, None)
    write_project(night.workspace)
    night.now += 1
    verdict, deployment = loop.promote(night.project)
    assert verdict.passed
    assert verdict.version == registered.version == 1
    assert deployment is not None
    assert loop.deployed(night.project) == deployment
    assert night.roles() == {"champion": 1}
    with pytest.raises(AlreadyChampion):
        loop.promote(night.project, 1)
    assert loop.deployed(night.project) == deployment


def test_the_world_of_a_project_goes_on_from_its_data(night: Night) -> None:
    world = open_world(night.workspace, night.project, seed=3)
    calm, changed = world.draw(400), world.draw(400, shifted=True)
    assert list(calm.columns) == ["tenure", "spend", "customer", "left"]
    stays = calm.groupby(calm["spend"] > 500)["left"].apply(lambda left: (left == "no").mean())
    left = changed.groupby(changed["spend"] > 500)["left"].apply(lambda left: (left == "no").mean())
    assert stays[True] > 0.8
    assert left[True] < 0.2


def test_one_round_of_the_loop_needs_no_port_and_ends(night: Night) -> None:
    night.champion()
    night.alarm()
    with listening(night.workspace):
        Loop(night.workspace, night.store).close(threading.Event(), once=True)
    assert night.turn().step == "collect"


@contextmanager
def listening(workspace: Workspace) -> Iterator[int]:
    """Take a port, and make it the controller's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        workspace.settings = workspace.settings.model_copy(update={"controller_port": port})
        yield port


def test_a_controller_whose_port_is_taken_says_so(night: Night) -> None:
    with listening(night.workspace) as port, pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1"):
        Loop(night.workspace, night.store).close(threading.Event())


def test_a_controller_shows_its_metrics_while_it_runs(night: Night, free_port: int) -> None:
    night.champion()
    night.workspace.settings = night.workspace.settings.model_copy(update={"controller_port": free_port})
    stop = threading.Event()
    running = threading.Thread(target=Loop(night.workspace, night.store).close, args=(stop,))
    running.start()
    try:
        end = time.monotonic() + 60
        while 'ml_loop_open_turn{model_name="churn"} 0.0' not in shown(free_port):
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        stop.set()
        running.join(30)
    assert not running.is_alive()
    assert night.controller().round()  # the lease was given back


def shown(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""
