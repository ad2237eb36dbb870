"""Everything that callers send, while everything goes on that can go on: no wrong answer, no failure of ours, nothing lost.

The suite takes a minute; with TREADLE_TEST_CHAOS=all it is ten.
"""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import small_bundles
from tests.chaos.host import Host, unlike_the_store
from tests.chaos.load import Load, expected
from tests.chaos.report import tell
from tests.integration.retraining.conftest import Night, write_project
from treadle.registry.tracking import Tracking
from treadle.settings import MARKER, Workspace
from treadle.state import deployments

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(1200)]

WHOLE = os.environ.get("TREADLE_TEST_CHAOS") == "all"
SECONDS = 600.0 if WHOLE else 60.0
OUTAGE = 30.0 if WHOLE else 12.0
RATE = 100.0
P95 = 0.25
LONGEST = 10.0


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / MARKER).write_text("offline = true\ncontroller_port = 0\ncontroller_seconds = 0.5\nretraining = false\nsegment_mb = 0.5\n")
    monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
    workspace = Workspace.find(root)
    write_project(workspace)
    with Tracking(workspace).client():
        night = Night(workspace)
    for lean in (0.0, 0.7, 1.4):
        night.register(small_bundles.answering(lean=lean, slope=0.002))
    night.promote(1)
    yield night
    night.close()


@contextlib.contextmanager
def controller(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (root / "loop.log").open("ab") as output:
        command = [sys.executable, "-m", "treadle.cli.main", "loop"]
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def away(workspace: Workspace, seconds: float) -> None:
    """Keep the state store from everybody, as a backup tool or a stuck process might."""
    with contextlib.closing(sqlite3.connect(workspace.home / "state.db", isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def kill(host: Host, what: str) -> None:
    """Kill a process of the host that is called so; the supervisor is the host's own."""
    assert host.process is not None
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(host.process.pid)
        if what == "supervisor":
            supervisor.send_signal(signal.SIGKILL)
            return
        for child in supervisor.children():
            if f"treadle.serving.{what}" in child.cmdline():
                child.send_signal(signal.SIGKILL)
                return


def start_canary(night: Night, version: int) -> None:
    with night.store.write() as conn:
        present = deployments.require(conn, "churn")
        slots = deployments.with_canary(present, version, night.digest(version), 0.3)
        deployments.insert(conn, "churn", expected=present.generation, slots=slots, reason="a canary", at=time.time())


def roll_back(night: Night) -> None:
    with night.store.write() as conn:
        present = deployments.require(conn, "churn")
        deployments.rollback(conn, "churn", expected=present.generation, reason="a rollback", at=time.time())


def test_every_answer_is_right_and_logged_once_whatever_happens_meanwhile(night: Night, free_port: int) -> None:
    workspace, dice = night.workspace, random.Random(7)
    truth = expected(night.bundles, {version: night.digest(version) for version in (1, 2, 3)})
    kills = 0
    with Host(workspace.root, free_port) as host:
        host.until_ready()
        with Load(host.url, truth, RATE) as load:
            # The control plane restarts, and the store is away: callers notice nothing.
            began = time.monotonic()
            with controller(workspace.root):
                time.sleep(SECONDS / 15)
            with controller(workspace.root):
                away(workspace, OUTAGE)
                time.sleep(SECONDS / 15)
            ended = time.monotonic()
            calm = load.resets
            # The data plane is swapped, shared, rolled back and killed.
            acts = [lambda: night.promote(2), lambda: kill(host, "worker"), lambda: start_canary(night, 3), lambda: kill(host, "shipper")]
            acts += [lambda: night.promote(3), lambda: kill(host, "worker"), lambda: roll_back(night), lambda: kill(host, "supervisor")]
            while time.monotonic() < began + SECONDS:
                for act in acts:
                    act()
                    time.sleep(SECONDS / 60 * (0.5 + dice.random()))
                kills += 3
    wrong = unlike_the_store(workspace.root, set(load.answered), load.labelled, in_flight=(kills + 1) * 8 * 10)
    wrong += [f"{count} times: {what}" for what, count in load.wrong.items()]
    p95, silence = load.percentile(0.95, began, ended), load.longest_silence(began, ended)
    seen = f"{len(load.answered)} rows answered in {SECONDS:.0f} s by {len(load.by_version)} versions, {kills} kills, "
    seen += f"{load.resets} connections reset; 0 wrong, 0 5xx, each logged once. "
    seen += f"Through the restart and {OUTAGE:.0f} s without the store: 100 % answered, "
    seen += f"p95 {1000 * p95:.0f} ms, longest silence {silence:.1f} s"
    assert wrong == []
    assert calm == 0
    assert set(load.by_version) == {1, 2, 3}
    assert (p95 < P95, silence < LONGEST) == (True, True), seen
    promised = "no wrong answer, no 5xx to a valid request, every answer logged once; 99 % answered, p95 below 250 ms, no silence over 10 s"
    tell("mixed", fault="mixed load with swaps, canary, rollback, kills and an outage of the store", promised=promised, seen=seen)
