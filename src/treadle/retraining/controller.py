"""The controller: one process that watches every model, opens turns, and carries each one step further.

It holds a lease; every write checks its token, so that a controller that was paused and replaced cannot write any more.
"""

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event as Flag

from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import LeaseLost, NoABTest, StoreUnavailable, TreadleError
from treadle.monitoring.alarms import alarms, cleared
from treadle.monitoring.metrics import ControllerMetrics
from treadle.monitoring.observe import Observation, observe
from treadle.projects import Project, find
from treadle.registry import aliases, roles
from treadle.registry.roles import Change
from treadle.registry.tracking import Tracking
from treadle.retraining.decide import decide
from treadle.retraining.situation import read_situation
from treadle.retraining.steps import FIRST_STEP, Desk, End, Result, take
from treadle.settings import Workspace
from treadle.state import compaction, deployments, episodes, events, heads, joins, lease, pauses, turns
from treadle.state.lease import Lease
from treadle.state.store import Store
from treadle.state.turns import Turn

LEASE = "controller"
LEASE_ROUNDS = 6
"""A lease outlives this many rounds, and at least ``LEASE_SECONDS``."""
LEASE_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 5.0
"""How often aliases are put back, the head of the events is exported and parts of the live profile are merged."""
MERGE_AFTER = 120.0
"""Seconds after the end of a bucket, or two short buckets, until its parts are merged: by then most of what belongs to it was shipped."""
MERGE_BITE, MERGE_BITES = 500, 20
"""Parts that one transaction merges, and how many transactions one housekeeping spends on them."""
SEGMENT_KEPT = 30 * 86400.0
"""Seconds that the store remembers a segment that was shipped whole: a backup of a spool may come back for as long."""
TICK = 0.1
"""Seconds between two looks at whether to stop."""

logger = logging.getLogger(__name__)


class Controller:
    """Watches, decides, and turns the loop, one round at a time."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        metrics: ControllerMetrics,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._plain = store
        self._store = store.guarded(self._check)
        self._metrics = metrics
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._timer = timer
        self._lease: Lease | None = None
        self._watched: tuple[Lease | None, float] = (None, 0.0)
        self._housekept = -HOUSEKEEPING_SECONDS
        self._asked: set[str] = set()
        self._troubles: dict[tuple[str, str | None], type[Exception]] = {}
        self._bundles = BundlePlace.of(workspace)
        self._tracking = Tracking(workspace)
        self._desk = Desk(workspace, self._store, self._tracking, self._bundles, SnapshotPlace.of(workspace), clock)

    @property
    def training(self) -> bool:
        """Whether a training runs."""
        return bool(self._desk.trainers)

    def run(self, stop: Flag, *, once: bool = False) -> None:
        """Go round until ``stop`` is set; ``once``: only as long as a training that the first round has started runs."""
        try:
            while not stop.is_set():
                self.round()
                if once and not self.training:
                    return
                pause(stop, self._workspace.settings.controller_seconds)
        finally:
            self.close()

    def close(self) -> None:
        """End the trainings that run, and give the lease back."""
        held = self._let_go()
        if held is not None:
            with suppress(StoreUnavailable):  # Then the lease runs out by itself.
                lease.release(self._plain, held)

    def _let_go(self) -> Lease | None:
        """Do nothing more under the lease, and return it."""
        for turn_id in list(self._desk.trainers):
            self._desk.dismiss(turn_id)
        held, self._lease = self._lease, None
        return held

    def round(self) -> bool:
        """Look at every model once. Return whether this controller holds the lease."""
        try:
            if not self._hold():
                return False
            projects = list(self._projects())
            self._join_labels(projects)
            for project in projects:
                with self._unstopped("watch", project.name):
                    self._attend(project)
            self._housekeep()
        except LeaseLost as error:
            logger.warning("%s", error)
            self._let_go()
        except StoreUnavailable as error:
            # The store is away: nothing can be decided or recorded, so the next round tries again. The connections go too: what comes
            # back may be another file under the same name, put there from a backup.
            self._plain.close()
            logger.warning("%s", error)
        return self._lease is not None

    def _hold(self) -> bool:
        now = self._clock()
        ttl = max(LEASE_SECONDS, LEASE_ROUNDS * self._workspace.settings.controller_seconds)
        self._lease = (
            lease.renew(self._plain, self._lease, ttl=ttl, now=now)
            if self._lease
            else lease.acquire(self._plain, LEASE, self._holder, ttl=ttl, now=now, dead=self._unrenewed(ttl))
        )
        return self._lease is not None

    def _unrenewed(self, ttl: float) -> Lease | None:
        """Return another's lease that has not been renewed for as long as it lasts, by a timer that nobody can set.

        Its holder is gone, even if the time of day was put back since, and the lease would run for another hour.
        """
        with self._plain.read() as conn:
            there = lease.standing(conn, LEASE)
        if there != self._watched[0]:
            self._watched = there, self._timer()
        return there if self._timer() - self._watched[1] > ttl else None

    def _check(self, conn: Connection) -> None:
        if self._lease is None:
            raise LeaseLost(LEASE, self._holder)
        lease.check(conn, self._lease)

    def _projects(self) -> Iterator[Project]:
        """Yield the project of every deployed model, as far as it can be read."""
        with self._store.read() as conn:
            deployed = deployments.generations(conn)
        for model in sorted(deployed):
            with self._unstopped("contract", model):
                yield find(self._workspace, model)

    def _join_labels(self, projects: Iterable[Project]) -> None:
        """Give the labels that have come to their predictions; those that waited too long wait no more."""
        expire, now = {project.name: project.contract.policy.labels.expire for project in projects}, self._clock()
        with self._store.write() as conn:
            joins.resolve_labels(conn, now=now, expire=expire)

    @contextmanager
    def _unstopped(self, task: str, model: str | None = None) -> Iterator[None]:
        """Go on after the block whatever happens in it: one model's trouble must not stop the others. It is told once while it lasts."""
        try:
            yield
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:
            self._metrics.stumbles.labels(model or "").inc()
            if self._troubles.get((task, model)) is not type(error):
                logger.exception("The controller stumbled over %s of %s", task, model or "all models")
                said = error.sentence if isinstance(error, TreadleError) else f"{type(error).__name__}: {error}"
                now = self._clock()
                with self._store.write() as conn:
                    events.append(conn, "controller.stumbled", at=now, model=model, data={"task": task, "error": said})
                self._troubles[task, model] = type(error)
        else:
            self._troubles.pop((task, model), None)

    def _attend(self, project: Project) -> None:
        with self._store.read() as conn:
            deployment = deployments.current(conn, project.name)
        if deployment is None or deployment.champion is None:
            return
        now = self._clock()
        observation = observe(self._store, self._bundles, project, now=now)
        self._metrics.observed(project.name, observation)
        self._keep_episodes(project, observation)
        self._take_refused_arms_out(project)
        self._open_turn(project, now)
        self._step(project)

    def _keep_episodes(self, project: Project, observation: Observation) -> None:
        """Open an episode per alarm; close those that have passed or whose version is champion no more."""
        version = observation.version
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

    def _take_refused_arms_out(self, project: Project) -> None:
        """Take what a person has refused out of the A/B test, also while the loop is paused."""
        now = self._clock()
        with self._store.read() as conn:
            refused = roles.refused_arms(conn, project, now)
        for arm, sentence in refused:
            with suppress(NoABTest):  # somebody else was first
                roles.stop_test(self._store, project.name, Change("treadle", now, sentence), version=arm.version)

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
                    data={"onset": decision.episode.onset, "champion": decision.episode.version},
                )
        elif decision.ask and situation.recent[0].id not in self._asked:
            self._asked.add(situation.recent[0].id)
            with self._store.write() as conn:
                events.append(conn, "person.needed", at=now, model=project.name, data={"reason": decision.reason})

    def _step(self, project: Project) -> None:
        with self._store.read() as conn:
            turn = turns.current(conn, project.name)
            paused = pauses.current(conn, project.name) is not None
        self._metrics.turn(project.name, turn)
        if turn is not None:
            self._record(project, turn, take(self._desk, project, turn, paused=paused))

    def _record(self, project: Project, turn: Turn, result: Result) -> None:
        if result is None:
            return
        now = self._clock()
        with self._store.write() as conn:
            if isinstance(result, End):
                turns.close(conn, turn, outcome=result.outcome, reason=result.reason, at=now)
            else:
                turns.advance(conn, turn, step=result.step, at=now, data=result.data)
                if result.told is not None:
                    kind, facts = result.told
                    events.append(conn, kind, at=now, model=project.name, data=facts)
        if isinstance(result, End):
            self._desk.dismiss(turn.id)
            self._metrics.turns.labels(project.name, result.outcome).inc()

    def _housekeep(self) -> None:
        now = self._clock()
        if 0 <= now - self._housekept < HOUSEKEEPING_SECONDS:
            return
        self._housekept = now
        with self._unstopped("aliases"):
            aliases.reconcile(self._tracking, self._store, at=now)
        with self._unstopped("compaction"):
            self._compact(now)
        with self._unstopped("audit"):
            heads.sign(self._store, self._workspace.home, at=now)

    def _compact(self, now: float) -> None:
        """Merge what was shipped for buckets that are over, a bite per transaction, so that no shipper waits long."""
        bucket = self._workspace.settings.profile_seconds
        until = now - bucket - min(MERGE_AFTER, 2 * bucket)
        for _ in range(MERGE_BITES):
            with self._store.write() as conn:
                merged = compaction.merge(conn, until=until, limit=MERGE_BITE)
                compaction.forget_segments(conn, keep=SEGMENT_KEPT, now=now, limit=MERGE_BITE)
            if merged < MERGE_BITE:
                break


def pause(stop: Flag, seconds: float) -> None:
    """Wait for some seconds, or until ``stop`` is set."""
    end = time.monotonic() + seconds
    # Not stop.wait(): a signal handler that sets an event on which its own thread waits can lock up.
    while not stop.is_set() and time.monotonic() < end:
        time.sleep(min(TICK, seconds))
