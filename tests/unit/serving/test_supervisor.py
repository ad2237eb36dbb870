import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests import crew
from treadle.errors import PortTaken
from treadle.serving.ahead import die_with
from treadle.serving.numbers import FOLDER_VARIABLE
from treadle.serving.supervisor import (
    STEADY,
    Child,
    Notice,
    Supervisor,
    environment,
    fresh_metrics,
    listen,
    pause,
    service,
    stopped_by_signals,
    url,
)
from treadle.settings import Settings, Workspace

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
)
PARENT = """
import subprocess, sys, threading
from treadle.serving.supervisor import Child, Supervisor
child = Child("child", (sys.executable, "-c", "import time; time.sleep(60)"))
Supervisor([child], lambda notice: print(notice.detail, flush=True)).run(threading.Event())
"""


until = partial(crew.until, seconds=20.0)
"""Waits for another process, which has no clock to inject."""


class Kept:
    """A supervisor with a clock by hand, and what it told."""

    def __init__(self, *children: Child, grace: float = 10.0) -> None:
        self.now = 0.0
        self.notices: list[Notice] = []
        self.supervisor = Supervisor(children, self.notices.append, grace=grace, clock=lambda: self.now)

    def told(self) -> list[tuple[str, str]]:
        return [(notice.child, notice.what) for notice in self.notices]

    def dead(self, name: str) -> None:
        """Kill a child, and wait until it is gone."""
        psutil.Process(self.supervisor.pids()[name]).kill()
        self.ended(name)

    def ended(self, name: str) -> None:
        """Wait until a child has ended."""
        process = psutil.Process(self.supervisor.pids()[name])
        until(lambda: process.status() == psutil.STATUS_ZOMBIE)


def test_the_pause_doubles_up_to_ten_seconds() -> None:
    assert [pause(deaths) for deaths in (0, 1, 2, 3, 7, 8, 100)] == [0, 0.1, 0.2, 0.4, 6.4, 10, 10]


def test_a_child_that_dies_is_started_again_after_its_pause(tmp_path: Path) -> None:
    ended: list[int] = []
    kept = Kept(Child("child", SLEEP, log=tmp_path / "logs" / "child.log", on_exit=ended.append))
    try:
        kept.supervisor.step()
        first = kept.supervisor.pids()["child"]
        kept.dead("child")

        kept.supervisor.step()
        assert kept.supervisor.pids() == {}
        assert ended == [first]
        kept.now += pause(1)
        kept.supervisor.step()

        assert kept.supervisor.pids()["child"] != first
        assert kept.told() == [("child", "started"), ("child", "died"), ("child", "started")]
        assert kept.notices[1].detail == "signal 9"
        assert str(kept.notices[0]) == f"child started (process {first})"
    finally:
        kept.supervisor.close()
    assert kept.told()[-1] == ("child", "stopped")


def test_deaths_in_a_row_wait_longer_and_a_steady_life_forgets_them() -> None:
    kept = Kept(Child("child", (sys.executable, "-c", "pass")))
    deaths: list[float] = []
    for _ in range(3):
        kept.supervisor.step()
        kept.ended("child")
        kept.supervisor.step()
        deaths.append(kept.now)
        kept.now += pause(len(deaths))
    assert kept.told() == [("child", "started"), ("child", "died")] * 3

    kept.supervisor.step()
    kept.ended("child")
    kept.now += STEADY
    kept.supervisor.step()
    kept.now += pause(1)
    kept.supervisor.step()

    assert "child" in kept.supervisor.pids()
    kept.supervisor.close()


def test_children_get_their_environment_and_their_log(tmp_path: Path) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['WHO'])"
    kept = Kept(Child("child", (sys.executable, "-c", code), {"WHO": "me"}, tmp_path / "child.log"))

    kept.supervisor.step()
    until(lambda: (tmp_path / "child.log").read_text() == "1 me\n")

    kept.supervisor.close()


def test_a_child_that_does_not_stop_is_ended_by_force(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    kept = Kept(Child("child", STUBBORN, log=log), grace=0.2)
    kept.supervisor.step()
    until(lambda: "up" in log.read_text())

    kept.supervisor.close()

    assert (kept.notices[-1].what, kept.notices[-1].detail) == ("stopped", "signal 9")


def test_run_ends_when_it_is_told_to() -> None:
    kept = Kept(Child("child", SLEEP))
    stop = threading.Event()
    thread = threading.Thread(target=kept.supervisor.run, args=(stop,))
    thread.start()
    until(lambda: "child" in kept.supervisor.pids())
    process = psutil.Process(kept.supervisor.pids()["child"])

    stop.set()
    thread.join(20)

    assert not process.is_running()
    assert kept.told() == [("child", "started"), ("child", "stopped")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_children_die_with_the_supervisor() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline().split()[1]))

    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_set_the_event_and_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = threading.Event()

    with stopped_by_signals(stop):
        signal.raise_signal(number)

    assert stop.is_set()
    assert signal.getsignal(number) is before


def test_a_taken_port_is_named_with_its_setting(free_port: int) -> None:
    with listen("127.0.0.1", free_port), pytest.raises(PortTaken) as error:
        listen("127.0.0.1", free_port, setting="tracking_port")

    assert f"port {free_port} of 127.0.0.1" in error.value.what
    assert "TREADLE_TRACKING_PORT" in error.value.fix


def test_port_0_takes_a_free_one_and_the_address_says_which(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url(Workspace(tmp_path, Settings()), listener) == f"http://127.0.0.1:{port}"


def test_an_address_of_version_6_is_bracketed(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listener = listen("::1", 0)
    except PortTaken:
        pytest.skip("no IPv6 here")
    with listener:
        assert url(Workspace(tmp_path, Settings()), listener).startswith("http://[::1]:")


def test_children_find_the_same_workspace_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "treadle.toml").write_text("workers = 3\n")
    given = Workspace(
        tmp_path, Settings(home=tmp_path / "elsewhere", workers=5, offline=True, poll_seconds=0.125, store_url="sqlite:///a.db")
    )

    for name, value in environment(given).items():
        monkeypatch.setenv(name, value)
    found = Workspace.find()

    assert (found.root, found.settings) == (tmp_path, given.settings)


def test_the_service_is_workers_on_one_socket_and_a_shipper(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(workers=3))
    with listen("127.0.0.1", 0) as listener:
        children = service(workspace, listener)

    assert [child.name for child in children] == ["worker-1", "worker-2", "worker-3", "shipper"]
    assert all(child.env[FOLDER_VARIABLE] == str(workspace.home / "metrics") for child in children[:3])
    assert FOLDER_VARIABLE not in children[3].env
    assert {tuple(child.fds) for child in children[:3]} == {(children[0].fds[0],)}


def test_the_numbers_of_an_earlier_run_are_forgotten_and_a_dead_worker_is_marked(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings())
    folder = workspace.home / "metrics"
    fresh_metrics(workspace)
    (folder / "counter_1.db").touch()

    fresh_metrics(workspace)
    assert list(folder.iterdir()) == []

    (folder / "gauge_livesum_7.db").touch()
    (folder / "counter_7.db").touch()
    with listen("127.0.0.1", 0) as listener:
        on_exit = service(workspace, listener)[0].on_exit
    assert on_exit is not None
    on_exit(7)
    assert [path.name for path in folder.glob("*.db")] == ["counter_7.db"]


def test_a_child_asks_the_kernel_only_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert die_with(os.getpid()) is None


def test_the_process_that_starts_the_workers_loads_neither_numbers_nor_metrics() -> None:
    heavy = {"numpy", "prometheus_client", "sqlalchemy", "fastapi", "pandas"}
    look = f"import sys, treadle.serving.supervisor as _; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
