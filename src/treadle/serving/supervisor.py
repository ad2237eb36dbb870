"""Keep processes running: start them, start again what dies, stop them all together.

``Supervisor`` knows nothing of models; ``serve`` gives it the serving workers, which share one listening socket, and the shipper.
Nothing here prints: what happens is told to a callback.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Literal

from filelock import FileLock, Timeout

from treadle.errors import KeysMissing, PortTaken, ServiceRunning
from treadle.identity import Keys
from treadle.serving.ahead import THREADS, WORKER, Ahead, die_with
from treadle.serving.numbers import FOLDER_VARIABLE, forget
from treadle.serving.tls import Certificate
from treadle.serving.tracing import require_exporter
from treadle.settings import KEY_VARIABLE, Workspace, http_address, is_loopback

TICK = 0.1
"""Seconds between two looks at the children."""

STEADY = 10.0
"""A child that lived this many seconds has not failed to start; the next death is its first."""


@dataclass(frozen=True)
class Child:
    """A process to keep running.

    ``env`` is added to our own environment, ``fds`` stay open in the child, its output goes to ``log`` (empty: to ours), and
    ``on_exit`` is called with the id of a process that has ended. ``ahead`` is its first process, where that has been started already;
    it needs a log, and the first of ``fds`` is what it listens on.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    fds: Sequence[int] = ()
    on_exit: Callable[[int], None] | None = None
    ahead: Ahead | None = None


@dataclass(frozen=True)
class Notice:
    """What the supervisor did or saw; ``detail`` is the process id, or how the process ended."""

    child: str
    what: Literal["started", "died", "stopped"]
    detail: str

    def __str__(self) -> str:
        return f"{self.child} {self.what} ({self.detail})"


Report = Callable[[Notice], None]
Clock = Callable[[], float]


def pause(deaths: int) -> float:
    """Return the seconds to wait before the next start, after so many deaths in a row."""
    return min(0.1 * 2 ** (deaths - 1), 10.0) if deaths else 0.0


class _Kept:
    """A child and its current process, if it has one."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0
        self.deaths = 0


class Supervisor:
    """Keeps its children running. All its calls belong to one thread, which must outlive the children: they die with it."""

    def __init__(self, children: Sequence[Child], report: Report, *, grace: float = 10.0, clock: Clock = time.monotonic) -> None:
        self._kept = [_Kept(child) for child in children]
        self._report = report
        self._grace = grace
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Start the children and keep them running until ``stop`` is set; then stop them all."""
        try:
            # Not stop.wait(): a signal handler that sets an event on which its own thread waits can lock up.
            while not stop.is_set():
                self.step()
                time.sleep(TICK)
        finally:
            self.close()

    def step(self) -> None:
        """Look once at every child: note a death, start what is due."""
        for kept in self._kept:
            self._reap(kept)
            if kept.process is None and self._clock() >= kept.due:
                self._start(kept)

    def pids(self) -> dict[str, int]:
        """Return the process id of every child that runs."""
        return {kept.child.name: kept.process.pid for kept in self._kept if kept.process is not None}

    def close(self) -> None:
        """Ask every child to stop, at the same time; end by force what has not stopped after the grace."""
        running = [(kept, kept.process) for kept in self._kept if kept.process is not None]
        for _, process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        for kept, process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0))
            _signal(process, signal.SIGKILL)
            self._ended(kept, "stopped", process.wait())

    def _start(self, kept: _Kept) -> None:
        child = kept.child
        if child.log is not None:
            child.log.parent.mkdir(parents=True, exist_ok=True)
        with child.log.open("ab") if child.log is not None else contextlib.nullcontext() as output:
            there = child.ahead.hand_over(child.env, child.fds[0], output) if child.ahead is not None and output is not None else None
            kept.process = there or subprocess.Popen(
                child.argv,
                env={**os.environ, **THREADS, **child.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                pass_fds=child.fds,
                # Its own group: a Ctrl-C in the terminal reaches us alone, and we stop the children in order.
                process_group=0,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 (calls prctl and nothing that could hold a lock)
            )
        kept.started = self._clock()
        self._report(Notice(child.name, "started", f"process {kept.process.pid}"))

    def _reap(self, kept: _Kept) -> None:
        if kept.process is None or (code := kept.process.poll()) is None:
            return
        # What it started itself must not live on and hold its port.
        _signal(kept.process, signal.SIGKILL)
        now = self._clock()
        kept.deaths = 1 if now - kept.started >= STEADY else kept.deaths + 1
        kept.due = now + pause(kept.deaths)
        self._ended(kept, "died", code)

    def _ended(self, kept: _Kept, what: Literal["died", "stopped"], code: int) -> None:
        if kept.process is not None and kept.child.on_exit is not None:
            kept.child.on_exit(kept.process.pid)
        kept.process = None
        self._report(Notice(kept.child.name, what, f"signal {-code}" if code < 0 else f"exit code {code}"))


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on SIGINT or SIGTERM, for as long as the block runs. Main thread only."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# the service


def listen(host: str, port: int, *, setting: str = "port") -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one.

    Raises:
        PortTaken: the address cannot be had; the error names the setting.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        raise PortTaken(host, port, setting, error.strerror or str(error)) from error


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables with which a child process finds this workspace and the same settings, but not the caller's key."""
    values = workspace.settings.model_dump(mode="json", exclude_none=True)
    settings = {f"TREADLE_{name.upper()}": str(value) for name, value in values.items()}
    return {"TREADLE_WORKSPACE": str(workspace.root), KEY_VARIABLE: "", **settings}


def service(workspace: Workspace, listener: socket.socket, ahead: Ahead | None = None) -> list[Child]:
    """Return the workers, which share ``listener``, and the shipper; ``ahead`` becomes the first worker."""
    metrics = workspace.home / "metrics"
    variables = {**environment(workspace), FOLDER_VARIABLE: str(metrics)}
    logs = workspace.home / "logs"

    workers = [
        Child(
            f"worker-{number}",
            (sys.executable, "-m", WORKER, "--fd", str(listener.fileno())),
            variables,
            logs / f"worker-{number}.log",
            (listener.fileno(),),
            partial(forget, folder=metrics),
            ahead if number == 1 else None,
        )
        for number in range(1, workspace.settings.workers + 1)
    ]
    shipper = Child("shipper", (sys.executable, "-m", "treadle.serving.shipper"), environment(workspace), logs / "shipper.log")
    return [*workers, shipper]


def fresh_metrics(workspace: Workspace) -> None:
    """Forget the numbers of an earlier run; call once, before the first worker starts."""
    folder = workspace.home / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()


def url(workspace: Workspace, listener: socket.socket) -> str:
    """Return the address at which a listening socket answers."""
    host, port = listener.getsockname()[:2]
    return http_address(host, port, tls=workspace.tls is not None)


def require_safe(workspace: Workspace) -> None:
    """Refuse settings under which the service would answer those whom it should not, or nobody.

    Raises:
        KeysMissing: it would answer other machines without asking anybody for a key.
        KeysInvalid: the file of keys cannot be read.
        TlsInvalid: the certificate cannot be used.
        TracesExtraMissing: traces are asked for, and what sends them is not installed.
    """
    settings = workspace.settings
    require_exporter(settings)
    if settings.access == "keys" and not is_loopback(settings.host) and not Keys(workspace.home).known():
        raise KeysMissing(settings.host)
    if workspace.tls is not None:
        Certificate(*workspace.tls)


@contextlib.contextmanager
def only_one(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock of the service, so that no second one counts into the same metrics.

    Raises:
        ServiceRunning: another process holds it.
    """
    workspace.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workspace.home / "serve.lock", timeout=0):
            yield
    except Timeout as error:
        raise ServiceRunning(workspace.home) from error


def serve(workspace: Workspace, *, tell: Callable[[str], None], stop: threading.Event | None = None, ahead: Ahead | None = None) -> None:
    """Serve until ``stop`` is set or, without one, until SIGINT or SIGTERM. ``tell`` is given a line per event, the address first.

    ``ahead`` is a worker that was started before; without it all of them are started here.

    Raises:
        PortTaken: the port of the settings cannot be had.
        ServiceRunning: the workspace is served already: two would count into the same metrics.
        KeysMissing, KeysInvalid, TlsInvalid: who may call cannot be told, or nobody could.
    """
    require_safe(workspace)
    with listen(workspace.settings.host, workspace.settings.port) as listener, only_one(workspace):
        fresh_metrics(workspace)
        tell(f"serving on {url(workspace, listener)}")
        supervisor = Supervisor(service(workspace, listener, ahead), lambda notice: tell(str(notice)))
        if stop is not None:
            supervisor.run(stop)
            return
        stop = threading.Event()
        with stopped_by_signals(stop):
            supervisor.run(stop)
