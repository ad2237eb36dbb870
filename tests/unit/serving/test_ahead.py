"""A worker that is started before it is known what it serves. The process is a real one each time."""

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests import crew
from treadle.errors import KeysMissing
from treadle.serving import ahead as module
from treadle.serving.ahead import Ahead
from treadle.serving.supervisor import Child, Notice, Supervisor, fresh_metrics, listen, service, url
from treadle.serving.supervisor import serve as serving
from treadle.settings import KEY_VARIABLE, Settings, Workspace

until = partial(crew.until, seconds=60.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "treadle.toml").write_text("port = 0\nworkers = 1\n")
    return Workspace(tmp_path, Settings(port=0, workers=1, segment_mb=3))


def test_it_becomes_the_first_worker_with_the_settings_the_socket_and_the_log_that_it_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "tk_secret")
    fresh_metrics(workspace)
    notices: list[Notice] = []
    with Ahead() as ahead, listen("127.0.0.1", 0) as listener:
        process = psutil.Process(ahead.pid)
        until(lambda: process.cmdline()[1:3] == ["-m", module.WORKER])
        assert process.environ()[KEY_VARIABLE] == ""
        worker = service(workspace, listener, ahead)[0]
        supervisor = Supervisor([worker], notices.append)
        supervisor.step()
        try:
            assert supervisor.pids() == {"worker-1": process.pid}
            health = httpx.get(f"{url(workspace, listener)}/health", timeout=60).json()
            ready = httpx.get(f"{url(workspace, listener)}/ready", timeout=60)
            numbers = list((workspace.home / "metrics").glob(f"*_{process.pid}.db"))
        finally:
            supervisor.close()
    assert (health["worker"], ready.json()["missing"]) == (process.pid, ["No model is deployed yet: train and promote one."])
    assert [notice.what for notice in notices] == ["started", "stopped"]
    assert worker.log is not None
    assert worker.log.read_bytes() == b""
    assert numbers != []


def test_the_next_process_of_that_worker_is_started_as_any_other(workspace: Workspace) -> None:
    with Ahead() as ahead, listen("127.0.0.1", 0) as listener:
        kept = Child(
            "child", (sys.executable, "-c", "import time; time.sleep(60)"), {}, workspace.root / "log", (listener.fileno(),), ahead=ahead
        )
        supervisor = Supervisor([kept], lambda _notice: None)
        supervisor.step()
        first = psutil.Process(supervisor.pids()["child"])
        assert "--ahead" in first.cmdline()
        first.kill()

        def replaced() -> bool:
            supervisor.step()
            return supervisor.pids().get("child") not in {first.pid, None}

        until(replaced)
        assert "sleep" in psutil.Process(supervisor.pids()["child"]).cmdline()[2]
        supervisor.close()


def test_one_that_has_died_is_replaced(workspace: Workspace) -> None:
    with Ahead() as ahead, (workspace.root / "log").open("wb") as log:
        psutil.Process(ahead.pid).kill()
        until(lambda: psutil.Process(ahead.pid).status() == psutil.STATUS_ZOMBIE)
        assert ahead.hand_over({}, 0, log) is None


def test_one_that_nobody_needs_is_ended(workspace: Workspace) -> None:
    open_to_all = Workspace(workspace.root, Settings(host="0.0.0.0", port=0))  # noqa: S104 - which is refused without keys
    with Ahead() as ahead:
        pid = ahead.pid
        with pytest.raises(KeysMissing):
            serving(open_to_all, tell=lambda _line: None, ahead=ahead)
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_one_whose_parent_has_gone_without_a_word_ends_by_itself() -> None:
    parent = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; from treadle.serving.ahead import Ahead; a = Ahead().__enter__(); print(a.pid, flush=True); os._exit(0)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    pid = int(parent.stdout)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_one_that_is_told_nothing_ends_without_a_word() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        done = subprocess.run([sys.executable, "-m", module.WORKER, "--ahead"], stdin=theirs.fileno(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_loads_nothing_that_takes_time() -> None:
    heavy = ["pydantic", "numpy", "sqlalchemy", "fastapi", "asyncio", "msgspec"]
    code = f"import sys, treadle.serving.ahead; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_variable_of_the_key_is_that_of_the_settings() -> None:
    assert list(module.KEY) == [KEY_VARIABLE]
