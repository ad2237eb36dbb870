"""The controller: one process that watches every model, opens turns, and carries each one step further.

It holds a lease; every write checks its token, so that a controller that was paused and replaced cannot write any more.
"""

import logging
import os
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from threading import Event as Flag

from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import LeaseLost, StoreUnavailable, TreadleError
from treadle.monitoring.alarms import alarms, cleared
from treadle.monitoring.metrics import ControllerMetrics
from treadle.monitoring.observe import Observation, observe
from treadle.projects import Project, discover
from treadle.registry import aliases
from treadle.registry.tracking import Tracking
from treadle.retraining.decide import decide
from treadle.retraining.situation import read_situation
from treadle.retraining.steps import FIRST_STEP, STEPS, Desk, End, Result
from treadle.settings import Workspace
from treadle.state import deployments, episodes, events, joins, lease, turns
from treadle.state.lease import Lease
from treadle.state.store import Store
from treadle.state.turns import Turn

LEASE = "controller"
LEASE_ROUNDS = 6
"""A lease outlives this many rounds, and at least ``LEASE_SECONDS``."""
LEASE_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 5.0
"""How often aliases are put back and the head of the events is exported."""

logger = logging.getLogger(__name__)


class Controller:
    """Watches, decides, and turns the loop, one round at a time."""

    def __init__(self, workspace: Workspace, store: Store, metrics: ControllerMetrics, *, clock: Callable[[], float] = time.time) -> None:
        self._workspace = workspace
        self._plain = store
        self._store = store.guarded(self._check)
        self._metrics = metrics
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._lease: Lease | None = None
        self._housekept = -HOUSEKEEPING_SECONDS
        self._asked: set[str] = set()
        self._bundles = BundlePlace(workspace.bundle_dir)
        self._tracking = Tracking(workspace)
        self._desk = Desk(workspace, self._store, self._tracking, self._bundles, SnapshotPlace(workspace.snapshot_dir), clock)

    def run(self, stop: Flag) -> None:
        """Go round until ``stop`` is set."""
        while not stop.is_set():
            self.round()
            stop.wait(self._workspace.settings.controller_seconds)
        self.close()

    def close(self) -> None:
        """End the trainings that run, and give the lease back."""
        for trainer in self._desk.trainers.values():
            trainer.stop()
        self._desk.trainers.clear()
        if self._lease is not None:
            lease.release(self._plain, self._lease)
            self._lease = None

    def round(self) -> bool:
        """Look at every model once. Return whether this controller holds the lease."""
        try:
            if not self._hold():
                return False
            projects = discover(self._workspace)
            self._join_labels(projects)
            for project in projects.values():
                self._attend_safely(project)
            self._housekeep()
        except LeaseLost as error:
            logger.warning("%s", error)
            self._lease = None
            return False
        except StoreUnavailable as error:
            # The store is away: nothing can be decided or recorded, so the next round tries again.
            logger.warning("%s", error)
        return True

    def _hold(self) -> bool:
        now = self._clock()
        ttl = max(LEASE_SECONDS, LEASE_ROUNDS * self._workspace.settings.controller_seconds)
        self._lease = (
            lease.renew(self._plain, self._lease, ttl=ttl, now=now)
            if self._lease
            else lease.acquire(self._plain, LEASE, self._holder, ttl=ttl, now=now)
        )
        return self._lease is not None

    def _check(self, conn: Connection) -> None:
        if self._lease is None:
            raise LeaseLost(LEASE, self._holder)
        lease.check(conn, self._lease)

    def _join_labels(self, projects: Mapping[str, Project]) -> None:
        """Give the labels that have come to their predictions; those that waited too long wait no more."""
        expire = {name: project.contract.policy.labels.expire for name, project in projects.items()}
        with self._store.write() as conn:
            joins.resolve_labels(conn, now=self._clock(), expire=expire)

    def _attend_safely(self, project: Project) -> None:
        """One model's trouble must not stop the others."""
        try:
            self._attend(project)
        except (LeaseLost, StoreUnavailable):
            raise
        except TreadleError as error:
            logger.exception("The controller stumbled over %s", project.name)
            self._metrics.stumbles.labels(project.name).inc()
            with self._store.write() as conn:
                events.append(conn, "controller.stumbled", at=self._clock(), model=project.name, data={"error": str(error)})

    def _attend(self, project: Project) -> None:
        with self._store.read() as conn:
            deployment = deployments.current(conn, project.name)
        if deployment is None or deployment.champion is None:
            return
        now = self._clock()
        observation = observe(self._store, self._bundles, project, now=now)
        self._metrics.observed(project.name, observation)
        self._keep_episodes(project, deployment.champion.version, observation)
        self._open_turn(project, now)
        self._step(project)

    def _keep_episodes(self, project: Project, version: int, observation: Observation) -> None:
        """Open an episode per alarm; close those that have passed or whose version is champion no more."""
        with self._store.read() as conn:
            open_now = episodes.open_ones(conn, project.name)
        known = {one.signal for one in open_now if one.version == version}
        fresh = [alarm for alarm in alarms(observation) if alarm.signal not in known]
        past = [one for one in open_now if one.version == version and one.signal in cleared(observation)]
        old = [one for one in open_now if one.version != version]
        if not (fresh or past or old):
            return
        now = self._clock()
        with self._store.write() as conn:
            for alarm in fresh:
                episodes.open_episode(
                    conn, project.name, version=version, signal=alarm.signal, onset=alarm.onset, evidence=alarm.evidence, at=now
                )
            for one in past:
                episodes.close_episode(conn, one, outcome="recovered", at=now)
            for one in old:
                episodes.close_episode(conn, one, outcome="superseded", at=now)

    def _open_turn(self, project: Project, now: float) -> None:
        with self._store.read() as conn:
            situation = read_situation(conn, project, now=now)
        decision = decide(situation, project.contract.policy.retrain, enabled=self._workspace.settings.retraining)
        if decision.episode is not None:
            with self._store.write() as conn:
                turns.open_turn(
                    conn,
                    project.name,
                    cause=decision.reason,
                    episode=decision.episode.id,
                    step=FIRST_STEP,
                    at=now,
                    data={"onset": decision.episode.onset},
                )
        elif decision.ask and situation.recent[0].id not in self._asked:
            self._asked.add(situation.recent[0].id)
            with self._store.write() as conn:
                events.append(conn, "person.needed", at=now, model=project.name, data={"reason": decision.reason})

    def _step(self, project: Project) -> None:
        with self._store.read() as conn:
            turn = turns.current(conn, project.name)
        self._metrics.turn(project.name, turn)
        if turn is not None:
            self._record(project, turn, STEPS[turn.step](self._desk, project, turn))

    def _record(self, project: Project, turn: Turn, result: Result) -> None:
        if result is None:
            return
        with self._store.write() as conn:
            if isinstance(result, End):
                turns.close(conn, turn, outcome=result.outcome, reason=result.reason, at=self._clock())
                self._metrics.turns.labels(project.name, result.outcome).inc()
            else:
                turns.advance(conn, turn, step=result.step, at=self._clock(), data={**turn.data, **result.data})

    def _housekeep(self) -> None:
        now = self._clock()
        if now - self._housekept < HOUSEKEEPING_SECONDS:
            return
        self._housekept = now
        aliases.reconcile(self._tracking, self._store, at=now)
        self._export_head(now)

    def _export_head(self, now: float) -> None:
        """Write the signed head of the events outside the database, where an edit of the database cannot reach."""
        folder = self._workspace.home / "audit"
        with self._store.read() as conn:
            head = events.sign_head(conn, audit_key(self._workspace), now)
        if head is not None:
            folder.mkdir(parents=True, exist_ok=True)
            events.append_head(folder / "heads.jsonl", head)


def audit_key(workspace: Workspace) -> bytes:
    """Return the key that signs the head of the events; made at first use, readable by its owner alone."""
    path = workspace.home / "audit" / "key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()
