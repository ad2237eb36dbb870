"""One turn of the loop, a line per stage: the table of contents of the package."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from treadle.bundle.place import BundlePlace
from treadle.errors import AlreadyChampion, PortTaken, SnapshotCorrupt, SnapshotNotFound, TrackingUnavailable
from treadle.projects import Project
from treadle.registry import admission, aliases, origin, promotion, roles, versions
from treadle.registry.evidence import Jury
from treadle.registry.roles import Asked, Change
from treadle.registry.tracking import Registered, Tracking
from treadle.retraining import rows
from treadle.settings import Workspace
from treadle.state import consents, deployments, heads, verdicts
from treadle.state.deployments import Deployment
from treadle.state.store import Store
from treadle.state.verdicts import Verdict
from treadle.telling import Tell, nobody


class Loop:
    """A workspace's loop: data → training → registry → serving → monitoring → retraining → (data …)."""

    def __init__(self, workspace: Workspace, store: Store, *, clock: Callable[[], float] = time.time, tell: Tell = nobody) -> None:
        self._workspace = workspace
        self._store = store
        self._clock = clock
        self._tell = tell
        heads.begin(store, workspace.home, at=clock())

    def train(self, project: Project, *, seed: int) -> Registered:
        """Data → training → registry: fetch, snapshot, validate, fit, evaluate, export, seal, register."""
        return versions.train_and_register(self._workspace, self._store, project, seed=seed, clock=self._clock, tell=self._tell)

    def gate(self, project: Project, version: int | None = None) -> Verdict:
        """registry: judge a version (the newest one, if none is named) by the policy as it is now."""
        found = Tracking(self._workspace).require(project.name, version)
        jury = self._jury(project, found)
        return promotion.gate_version(self._workspace, self._store, project, found.version, at=self._clock(), jury=jury)

    def _jury(self, project: Project, found: Registered) -> Jury | None:
        """Return logged rows that are fair to a version and to the champion, where there is one and there are enough of them."""
        deployment = self.deployed(project)
        if deployment is None or deployment.champion is None or deployment.champion.digest == found.digest:
            return None
        bundles = BundlePlace.of(self._workspace)
        bundle = bundles.get(found.digest)
        try:
            trained_on = origin.trained_on(self._workspace, bundle)
        except (SnapshotNotFound, SnapshotCorrupt):
            return None  # the gate says so, and records it
        challenger = rows.Challenger(bundle.interface, bundle.manifest.lineage.cut or 0.0, trained_on)
        with self._store.read() as conn:
            jury = rows.jury(conn, bundles, project, challenger, now=self._clock())
        return jury if jury.enough else None

    def promote(self, project: Project, version: int | None = None, *, actor: str = "treadle") -> tuple[Verdict, Deployment | None]:
        """Registry → serving: gate a version and, if it passes, give it all traffic. Servers follow by themselves.

        Raises:
            ConsentMissing: people must agree, or one has refused.
            AlreadyChampion: it has all the traffic there is.
        """
        verdict = self._spoken_about(project, version) or self.gate(project, version)
        if not verdict.passed:
            return verdict, None
        deployment = promotion.promote(self._workspace, self._store, project, verdict.version, verdict, at=self._clock(), actor=actor)
        self._project_aliases()
        return verdict, deployment

    def _spoken_about(self, project: Project, version: int | None) -> Verdict | None:
        """Return the gate's last verdict on a version, if people have spoken about it and it still holds: a new one would ask them anew."""
        found = Tracking(self._workspace).require(project.name, version)
        with self._store.read() as conn:
            present = deployments.current(conn, project.name)
            if present is not None and present.champion is not None and present.champion.digest == found.digest:
                raise AlreadyChampion(project.name, found.version)
            newest = verdicts.latest(conn, project.name, found.version, "gate")
            if newest is None or not consents.on(conn, newest.id):
                return None
            return None if admission.objection(conn, project, (found.version, found.digest), newest)[1] else newest

    def rollback(self, project: Project, *, reason: str, actor: str, to: int | None = None) -> Deployment:
        """Serving: bring back the roles of an older generation as a new one."""
        back = promotion.rollback(self._workspace, self._store, project.name, reason=reason, at=self._clock(), actor=actor, to=to)
        self._project_aliases()
        return back

    def switch(self, versions: Sequence[tuple[Project, int]], *, reason: str, actor: str) -> list[Deployment]:
        """Registry → serving: give a version of each of several models all traffic, in one transaction. The gate is asked where it must.

        Raises:
            NoneSwitched: one of them could not be: none was.
        """
        asked = [Asked(project, version, expected=self._generation(project)) for project, version in versions]
        judged = [replace(one, verdict=self._holding(one.project, one.version)) for one in asked]
        done = roles.switch(self._workspace, self._store, judged, Change(actor, self._clock(), reason))
        self._project_aliases()
        return done

    def roll_back(self, projects: Sequence[Project], *, reason: str, actor: str) -> list[Deployment]:
        """Serving: bring back the last generation with another champion of each of several models, in one transaction.

        Raises:
            NoneSwitched: one of them could not be: none was.
        """
        models: dict[str, int | None] = dict.fromkeys(project.name for project in projects)
        back = roles.roll_back(self._workspace, self._store, models, Change(actor, self._clock(), reason))
        self._project_aliases()
        return back

    def start_ab(self, project: Project, arms: Mapping[int, float], *, reason: str, actor: str) -> Deployment:
        """Registry → serving: start an A/B test; the gate is asked about each arm where it must. Raises as ``roles.start_test`` does."""
        expected = self._generation(project)
        for version in arms:
            self._holding(project, version)
        change = Change(actor, self._clock(), reason)
        started = roles.start_test(self._workspace, self._store, project, arms, change, expected=expected)
        self._project_aliases()
        return started

    def stop_ab(self, project: Project, *, reason: str, actor: str, promote: int | None = None, drop: int | None = None) -> Deployment:
        """Serving: end an A/B test, with the champion as it was or with an arm in its place; or take one arm out of it."""
        change = Change(actor, self._clock(), reason)
        if promote is not None:
            ended = roles.choose_arm(self._workspace, self._store, project, promote, change)
        else:
            ended = roles.stop_test(self._store, project.name, change, version=drop)
        self._project_aliases()
        return ended

    def _holding(self, project: Project, version: int) -> Verdict:
        """Return the gate's last verdict on a version if it still holds, or else a new one."""
        found = Tracking(self._workspace).require(project.name, version)
        with self._store.read() as conn:
            newest = verdicts.latest(conn, project.name, version, "gate")
            if newest is not None and not admission.objection(conn, project, (version, found.digest), newest)[1]:
                return newest
        return self.gate(project, version)

    def _generation(self, project: Project) -> int:
        deployment = self.deployed(project)
        return deployment.generation if deployment else 0

    def _project_aliases(self) -> None:
        """Show the new roles in MLflow at once; while it is away they lag behind, and the controller makes up for it."""
        with suppress(TrackingUnavailable):
            aliases.reconcile(Tracking(self._workspace), self._store, at=self._clock())

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

    heads.begin(store, workspace.home, at=time.time())
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
