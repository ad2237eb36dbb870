"""The processes of a workspace kept running together: the service, the controller and the MLflow page.

One thread starts them and starts again whatever dies; they stop together when the block ends.
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from treadle.client import Client
from treadle.errors import PortTaken, ServiceUnreachable
from treadle.serving.supervisor import Child, Notice, Supervisor, environment, fresh_metrics, listen, only_one, require_safe, service, url
from treadle.settings import Workspace, http_address, is_loopback
from treadle.state import deployments
from treadle.state.store import open_store

READY_SECONDS = 60.0

TRACKING_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Without the first, the page starts seven job consumers that nobody here needs."""


@dataclass(frozen=True)
class Addresses:
    """Where the processes answer; empty for one that does not run."""

    api: str
    tracking: str
    controller: str


class Stack:
    """Starts the processes of a workspace on entry and stops them on exit.

    ``free_ports`` takes another port where one of the settings is taken; without it that is an error. ``report`` is called from
    another thread with whatever starts, dies or stops.
    """

    def __init__(
        self,
        workspace: Workspace,
        report: Callable[[Notice], None],
        *,
        controller: bool = True,
        tracking: bool = True,
        free_ports: bool = False,
    ) -> None:
        self._workspace = workspace
        self._report = report
        self._stop = threading.Event()
        self._held = ExitStack()
        self._listen = listen_somewhere if free_ports else listen
        self._parts = (controller, tracking)
        # The processes die with the thread that started them, so one thread lives as long as they do.
        self._thread = threading.Thread(target=self._run, name="stack")
        self._children: list[Child] = []
        self.addresses = Addresses("", "", "")

    def __enter__(self) -> Self:
        """Start the processes, and return once the service answers.

        Raises:
            PortTaken: a port of the settings cannot be had.
            ServiceRunning: the workspace is served already.
            KeysMissing, KeysInvalid, TlsInvalid: who may call cannot be told, or nobody could.
        """
        require_safe(self._workspace)
        with ExitStack() as held:
            held.enter_context(only_one(self._workspace))
            listener = held.enter_context(self._listen(self._workspace.settings.host, self._workspace.settings.port))
            fresh_metrics(self._workspace)
            self._arrange(listener)
            self._held = held.pop_all()
        self._thread.start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop every process. Closing twice does nothing more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._held.close()

    def _arrange(self, listener: socket.socket) -> None:
        """Decide what runs, and where."""
        host, settings = self._workspace.settings.host, self._workspace.settings
        self._children = service(self._workspace, listener)
        controller, tracking = "", ""
        with_controller, with_tracking = self._parts
        if with_controller:
            port = self._free(settings.controller_port, "controller_port")
            self._children.append(controller_child(self._workspace, port))
            controller = f"{http_address(host, port)}/metrics"
        if with_tracking and self._workspace.tracking_url.startswith(("http://", "https://")):
            tracking = self._workspace.tracking_url
        elif with_tracking:
            port = self._free(settings.tracking_port, "tracking_port", tracking_host(settings.host))
            self._children.append(tracking_child(self._workspace, port))
            tracking = http_address(tracking_host(settings.host), port)
        self.addresses = Addresses(url(self._workspace, listener), tracking, controller)

    def _free(self, wanted: int, setting: str, host: str | None = None) -> int:
        """Return a port that is free now, for a process that will listen by itself; without ``host``, on that of the settings."""
        with self._listen(host or self._workspace.settings.host, wanted, setting=setting) as probe:
            port: int = probe.getsockname()[1]
            return port

    def _run(self) -> None:
        Supervisor(self._children, self._report).run(self._stop)

    def _wait_until_it_answers(self) -> None:
        """Wait until a worker is ready, or is as ready as it can be: without a model, or with one that it had to refuse."""
        empty = not self._deployed()
        deadline = time.monotonic() + READY_SECONDS
        last = "it has not answered yet"
        # Not verified: it is our own child that is asked, and its certificate names another host than this one.
        unverified = httpx.HTTPTransport(verify=False)
        with Client(self.addresses.api, timeout=2, retries=0, transport=unverified) as client:
            while time.monotonic() < deadline:
                try:
                    found = client.ready()
                except ServiceUnreachable as error:
                    last = error.what
                else:
                    if found.ready or empty or found.refused:
                        return
                    last = " ".join(found.missing)
                time.sleep(0.1)
        raise ServiceUnreachable(self.addresses.api, last)

    def _deployed(self) -> bool:
        store = open_store(self._workspace.store_url)
        try:
            with store.read() as conn:
                return bool(deployments.generations(conn))
        finally:
            store.close()


def controller_child(workspace: Workspace, port: int) -> Child:
    """Return the controller as a process to keep running."""
    variables = {**environment(workspace), "TREADLE_CONTROLLER_PORT": str(port)}
    command = (sys.executable, "-m", "treadle.cli.main", "loop")
    return Child("controller", command, variables, workspace.home / "logs" / "controller.log")


def tracking_host(host: str) -> str:
    """Return where the MLflow page listens: it asks nobody for a key, so never beyond this machine."""
    return host if is_loopback(host) else "127.0.0.1"


def tracking_child(workspace: Workspace, port: int) -> Child:
    """Return the MLflow page of a workspace as a process to keep running."""
    command = (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", workspace.tracking_url),
        *("--host", tracking_host(workspace.settings.host), "--port", str(port), "--workers", "1"),
    )
    return Child("mlflow", command, TRACKING_ENVIRONMENT, workspace.home / "logs" / "mlflow.log")


@contextlib.contextmanager
def listen_somewhere(host: str, port: int, *, setting: str = "port") -> Iterator[socket.socket]:
    """Listen at ``port``, or at a free one where it is taken."""
    try:
        listener = listen(host, port, setting=setting)
    except PortTaken:
        listener = listen(host, 0, setting=setting)
    with listener:
        yield listener


def up(workspace: Workspace, *, tell: Callable[[str], None], stop: threading.Event, controller: bool = True, tracking: bool = True) -> None:
    """Keep everything running until ``stop`` is set. ``tell`` is given a line per event.

    Raises:
        PortTaken: a port of the settings cannot be had.
        ServiceRunning: the workspace is served already.
    """
    with Stack(workspace, lambda notice: tell(str(notice)), controller=controller, tracking=tracking) as stack:
        told = stack.addresses
        tell(f"API         {told.api}/docs")
        if told.controller:
            tell(f"controller  {told.controller}")
        if told.tracking:
            tell(f"MLflow      {told.tracking}")
        tell(f"logs        {workspace.home / 'logs'}")
        while not stop.is_set():
            time.sleep(0.1)
