"""Drills that need no long traffic: what they refuse, what they find, and that they leave nothing that could take a role."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle import api
from treadle.drills import dead_controller
from treadle.drills.report import Report
from treadle.errors import DrillImpossible, ServiceUnreachable
from treadle.registry.tracking import Tracking
from treadle.retraining.controller import LEASE
from treadle.settings import MARKER, Workspace
from treadle.stack import Stack
from treadle.state import lease
from treadle.state.store import open_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).resolve().parents[3]
POLICY = """\
gate: {min_rows: 20}
drift: {window: 10s, min_rows: 100}
quality: {window: 60s, min_rows: 100}
labels: {maturity: 1s}
rollout: {weight: 0.3, rows: 60, deadline: 120s}
retrain: {automatic: false}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, str]]:
    """Yield a workspace with iris in service and watched, and the service's address."""
    root = tmp_path_factory.mktemp("drills")
    shutil.copytree(REPOSITORY / "projects" / "iris", root / "projects" / "iris", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "projects" / "iris" / "policy.drill.yaml").write_text(POLICY, encoding="utf-8")
    settings = "offline = true\noverlay = 'drill'\nworkers = 1\nprofile_seconds = 1\npoll_seconds = 0.1\ncontroller_seconds = 0.3\n"
    (root / MARKER).write_text(f"{settings}port = 0\ncontroller_port = 0\n", encoding="utf-8")
    workspace = Workspace.find(root)
    api.train("iris", workspace=workspace)
    api.promote("iris", workspace=workspace)
    with Stack(workspace, lambda _: None, tracking=False) as stack:
        wait_for_controller(workspace)
        yield workspace, stack.addresses.api


def wait_for_controller(workspace: Workspace) -> None:
    store, end = open_store(workspace.store_url), time.monotonic() + 100
    held = False
    while not held and time.monotonic() < end:
        with store.read() as conn:
            held = lease.holder(conn, LEASE, now=time.time()) is not None
        time.sleep(0.2)
    store.close()
    assert held, "no controller has started"


def drilled(running: tuple[Workspace, str], kind: str, seconds: float) -> Report:
    workspace, url = running
    report = api.drill(kind, "iris", seconds=seconds, url=url, workspace=workspace)
    assert report.seen.held, report.seen.sentences
    return report


def test_bad_data_are_refused_and_nothing_is_lost(running: tuple[Workspace, str]) -> None:
    told = drilled(running, "bad-data", 60).seen.sentences
    assert "allowed:" in told[1]
    assert told[3].startswith("The bad file was refused: ")


def test_without_labels_no_alarm_is_invented(running: tuple[Workspace, str]) -> None:
    assert drilled(running, "no-labels", 2).seen.sentences[-1] == "No quality alarm was opened."


def test_a_failing_challenger_is_taken_out_and_gone(running: tuple[Workspace, str]) -> None:
    told = " ".join(drilled(running, "failing", 90).seen.sentences)
    assert "The turn ended as 'aborted'." in told
    assert "Version 1 is champion, as before." in told
    assert [one.version for one in Tracking(running[0]).versions("iris")] == [1]


def test_another_controller_takes_over_from_a_dead_one(running: tuple[Workspace, str]) -> None:
    assert "holds the lease 'controller'" in drilled(running, "dead-controller", 60).seen.sentences[0]


def test_a_drill_needs_a_service(running: tuple[Workspace, str], free_port: int) -> None:
    with pytest.raises(ServiceUnreachable):
        api.drill("no-labels", "iris", url=f"http://127.0.0.1:{free_port}", workspace=running[0])


def test_a_changed_world_is_seen(running: tuple[Workspace, str]) -> None:
    told = " ".join(drilled(running, "drift", 6).seen.sentences)
    assert "features have drifted" in told


def test_only_a_controller_of_this_machine_is_killed() -> None:
    here = socket.gethostname()
    with pytest.raises(DrillImpossible, match="runs on elsewhere, not here"):
        dead_controller.process_of("elsewhere:12:abc")
    with pytest.raises(DrillImpossible, match="is no controller of its own"):
        dead_controller.process_of(f"{here}:{os.getpid()}:abc")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(DrillImpossible, match="is no controller of its own"):
            dead_controller.process_of(f"{here}:{other.pid}:abc")
    finally:
        other.communicate()


def test_a_controller_is_known_by_its_command(tmp_path: Path) -> None:
    script = tmp_path / "treadle"
    script.write_text("input()\n", encoding="utf-8")
    other = subprocess.Popen([sys.executable, str(script), "loop"], stdin=subprocess.PIPE)
    try:
        assert dead_controller.process_of(f"{socket.gethostname()}:{other.pid}:abc") == other.pid
    finally:
        other.communicate(b"\n")
