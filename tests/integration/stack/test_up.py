"""``treadle up``: everything together, what dies is started again, and Ctrl-C leaves nothing behind."""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.shell import treadle
from treadle.settings import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

LONG = 100.0


class Up:
    """A running ``treadle up`` and the lines that it prints."""

    def __init__(self, workspace: Workspace) -> None:
        free = {f"TREADLE_{name}": "0" for name in ("PORT", "CONTROLLER_PORT", "TRACKING_PORT")}
        command = [sys.executable, "-u", "-m", "treadle.cli.main", "up", "--workers", "1"]
        self.process = subprocess.Popen(
            command, env={**os.environ, **free}, cwd=workspace.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.put(line.strip())

    def wait_for(self, pattern: str) -> str:
        """Return the first group of the first line from here on that fits."""
        deadline, seen = time.monotonic() + LONG, []
        while time.monotonic() < deadline:
            try:
                seen.append(self.lines.get(timeout=1))
            except queue.Empty:
                assert self.process.poll() is None, seen
                continue
            if found := re.search(pattern, seen[-1]):
                return found[1]
        raise AssertionError((pattern, seen))


@pytest.fixture
def up(workspace: Workspace) -> Iterator[Up]:
    running = Up(workspace)
    yield running
    running.process.kill()
    running.process.wait()
    running.reader.join()


def test_everything_runs_what_dies_comes_back_and_ctrl_c_ends_it(up: Up) -> None:
    worker = int(up.wait_for(r"worker-1 started \(process (\d+)\)"))
    api = up.wait_for(r"API +(\S+)/docs")
    controller = up.wait_for(r"controller +(http\S+)")
    page = up.wait_for(r"MLflow +(\S+)")
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert httpx.get(f"{api}/health").json()["status"] == "ok"

    os.kill(worker, signal.SIGKILL)
    up.wait_for(r"(worker-1 died \(signal 9\))")
    again = int(up.wait_for(r"worker-1 started \(process (\d+)\)"))
    assert again != worker
    for address in (f"{api}/health", controller, page):
        assert answered(address).is_success

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(LONG) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_second_one_on_the_same_workspace_is_refused(up: Up) -> None:
    up.wait_for(r"(API) ")
    done = treadle("up", "--port", "0")
    assert (done.code, "already serves" in done.err) == (1, True), done


def test_the_doctor_examines_everything_for_real(workspace: Workspace) -> None:
    done = treadle("doctor", "--json")
    assert done.code == 0, done
    found = {one["name"]: one["status"] for one in done.json}
    assert (found["training libraries"], found["serving libraries"], found["state store"]) == ("ok", "ok", "ok")


@pytest.mark.parametrize("setting", ["port", "controller_port", "tracking_port"])
def test_a_taken_port_is_told_before_anything_starts(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name in ("port", "controller_port", "tracking_port"):
            monkeypatch.setenv(f"TREADLE_{name.upper()}", str(taken.getsockname()[1]) if name == setting else "0")
        done = treadle("up")
    assert (done.code, done.out) == (1, "")
    assert f"Set {setting} in treadle.toml" in done.err


def answered(address: str) -> httpx.Response:
    """Return the answer of a process that may still be starting."""
    deadline = time.monotonic() + LONG
    while True:
        try:
            return httpx.get(address, timeout=5)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
