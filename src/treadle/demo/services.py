"""The processes of a demo: the service, the controller and the MLflow page, kept running by one thread."""

import socket
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from treadle.demo.report import Addresses
from treadle.errors import PortTaken, ServiceUnreachable
from treadle.serving.supervisor import Child, Notice, Supervisor, environment, fresh_metrics, listen, service
from treadle.settings import Workspace

READY_SECONDS = 60.0


class Services:
    """Starts the processes on entry, stops them on exit. Ports that are taken are replaced by free ones."""

    def __init__(self, workspace: Workspace, report: Callable[[Notice], None]) -> None:
        self._workspace = workspace
        self._report = report
        self._stop = threading.Event()
        settings = workspace.settings
        self._listener = listen_somewhere(settings.host, settings.port)
        self.port: int = self._listener.getsockname()[1]
        self.controller_port = free_port(settings.host, settings.controller_port)
        self.tracking_port = free_port(settings.host, settings.tracking_port)
        # The processes die with the thread that started them, so one thread lives as long as they do.
        self._thread = threading.Thread(target=self._run, name="services")

    @property
    def addresses(self) -> Addresses:
        """Where they answer."""
        host = self._workspace.settings.host
        return Addresses(
            api=f"http://{host}:{self.port}",
            tracking=f"http://{host}:{self.tracking_port}",
            controller=f"http://{host}:{self.controller_port}/metrics",
        )

    def __enter__(self) -> Self:
        fresh_metrics(self._workspace)
        self._thread.start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        Supervisor([*service(self._workspace, self._listener), self._controller(), self._mlflow()], self._report).run(self._stop)

    def _controller(self) -> Child:
        variables = {**environment(self._workspace), "TREADLE_CONTROLLER_PORT": str(self.controller_port)}
        return Child(
            "controller", (sys.executable, "-m", "treadle.cli.main", "loop"), variables, self._workspace.home / "logs" / "controller.log"
        )

    def _mlflow(self) -> Child:
        return Child(
            "mlflow",
            tracking_command(self._workspace, self.tracking_port),
            TRACKING_ENVIRONMENT,
            self._workspace.home / "logs" / "mlflow.log",
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        last = "it has not answered yet"
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(f"{self.addresses.api}/ready", timeout=2)
                if answer.is_success:
                    return
                last = answer.text
            except httpx.TransportError as error:
                last = str(error)
            time.sleep(0.1)
        raise ServiceUnreachable(self.addresses.api, last)


TRACKING_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Without the first, the page starts seven job consumers that nobody here needs."""


def tracking_command(workspace: Workspace, port: int) -> tuple[str, ...]:
    """Return the command that serves the MLflow page of a workspace."""
    return (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", workspace.tracking_url),
        *("--host", workspace.settings.host, "--port", str(port), "--workers", "1"),
    )


def listen_somewhere(host: str, port: int) -> socket.socket:
    """Listen at ``port``, or at a free one where it is taken."""
    try:
        return listen(host, port)
    except PortTaken:
        return listen(host, 0)


def free_port(host: str, wanted: int) -> int:
    """Return ``wanted`` if it is free now, else another port that is."""
    with listen_somewhere(host, wanted) as probe:
        port: int = probe.getsockname()[1]
        return port
