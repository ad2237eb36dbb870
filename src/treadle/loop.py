"""One turn of the loop, a line per stage: the table of contents of the package."""

import threading
import time
from collections.abc import Callable

from treadle.errors import PortTaken
from treadle.projects import Project
from treadle.registry import promotion, versions
from treadle.registry.tracking import Registered, Tracking
from treadle.settings import Workspace
from treadle.state import deployments
from treadle.state.deployments import Deployment
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

Tell = Callable[..., None]


def _nobody(_kind: str, **_facts: object) -> None:
    """Tell nobody."""


class Loop:
    """A workspace's loop: data → training → registry → serving → monitoring → retraining → (data …)."""

    def __init__(self, workspace: Workspace, store: Store, *, clock: Callable[[], float] = time.time, tell: Tell = _nobody) -> None:
        self._workspace = workspace
        self._store = store
        self._clock = clock
        self._tell = tell

    def train(self, project: Project, *, seed: int) -> Registered:
        """Data → training → registry: fetch, snapshot, validate, fit, evaluate, export, seal, register."""
        return versions.train_and_register(self._workspace, self._store, project, seed=seed, clock=self._clock, tell=self._tell)

    def gate(self, project: Project, version: int | None = None) -> Verdict:
        """registry: judge a version (the newest one, if none is named) by the policy as it is now."""
        number = Tracking(self._workspace).require(project.name, version).version
        return promotion.gate_version(self._workspace, self._store, project, number, at=self._clock())

    def promote(self, project: Project, version: int | None = None) -> tuple[Verdict, Deployment | None]:
        """Registry → serving: gate a version and, if it passes, give it all traffic. Servers follow by themselves."""
        verdict = self.gate(project, version)
        if not verdict.passed:
            return verdict, None
        return verdict, promotion.promote(self._workspace, self._store, project, verdict.version, verdict, at=self._clock())

    def close(self, stop: threading.Event, *, once: bool = False) -> None:
        """Monitoring → retraining → (data …): watch what is served, and turn the loop whenever the policy says so."""
        run_controller(self._workspace, self._store, stop, once=once)

    def deployed(self, project: Project) -> Deployment | None:
        """Return which versions of a model have a role now."""
        with self._store.read() as conn:
            return deployments.current(conn, project.name)


def run_controller(workspace: Workspace, store: Store, stop: threading.Event, *, once: bool = False) -> None:
    """Run the controller with its own ``/metrics`` until ``stop`` is set; ``once``: one round, and the training that it starts.

    Raises:
        PortTaken: something else listens on the controller's port.
    """
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 -- only this process serves it

    from treadle.monitoring.metrics import ControllerMetrics  # noqa: PLC0415 -- as above
    from treadle.retraining.controller import Controller  # noqa: PLC0415 -- pulls in all of training

    registry = CollectorRegistry()
    controller = Controller(workspace, store, ControllerMetrics(registry))
    if once:
        controller.run(stop, once=True)
        return
    host, port = workspace.settings.host, workspace.settings.controller_port
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise PortTaken(host, port, "controller_port", error.strerror or str(error)) from error
    try:
        controller.run(stop)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
