"""How roles change hands, by the store and the bundles alone: promote, switch several models, roll back, start and end an A/B test.

MLflow is not asked: what the gate has judged is named by the digest in its verdict. So the serving process can do all of it as well.
Each function is one transaction, in which every version that gets a role must hold a verdict that permits it; a failure leaves all as it
was.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from treadle.bundle.manifest import MANIFEST_FILE
from treadle.bundle.place import Bundle, BundlePlace
from treadle.engine.session import Engine
from treadle.errors import (
    ArmsInvalid,
    BundleInvalid,
    BundleNotFound,
    GenerationGone,
    NoABTest,
    NoneSwitched,
    NotDeployed,
    NotPermitted,
    RolesTaken,
    TreadleError,
)
from treadle.projects import Project
from treadle.registry import admission
from treadle.settings import Workspace
from treadle.state import deployments, events, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.verdicts import Verdict


@dataclass(frozen=True)
class Asked:
    """A version that is to take all traffic of its model.

    ``verdict`` permits it; None: the gate's last word does. ``expected`` is the generation that whoever asks has seen; None: it
    may be any.
    """

    project: Project
    version: int
    verdict: Verdict | None = None
    expected: int | None = None


@dataclass(frozen=True)
class Change:
    """Who changes roles, when (epoch seconds) and why; a generation tells all three."""

    actor: str
    at: float
    reason: str = ""


def switch(workspace: Workspace, store: Store, asked: Sequence[Asked], change: Change) -> list[Deployment]:
    """Give each version all traffic of its model, in one transaction: all of them, or none.

    Raises:
        NotPermitted, ConsentMissing: a verdict does not let one, or people do not.
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: a bundle cannot be served.
        GenerationConflict: somebody else was first.
        NoneSwitched: any of these, where there are several.
    """
    with _whole([one.project.name for one in asked]):
        permitted = [(one, _permit(store, one.project, one.version, one.verdict)) for one in asked]
        for one, verdict in permitted:
            servable(workspace, one.project.name, verdict.digest)
        with store.write() as conn:
            events.lock(conn)  # what is read from here on is true when it commits
            return [take(workspace, conn, one, verdict, change) for one, verdict in permitted]


def take(workspace: Workspace, conn: Connection, asked: Asked, verdict: Verdict, change: Change) -> Deployment:
    """Give a version all traffic, inside a transaction that holds the lock of the events; the old champion stays as the fallback.

    Arms and a canary go with it. Raises as ``switch`` does.
    """
    project, version = asked.project, asked.version
    require_there(workspace, verdict.digest)
    present = admission.require_permitted(conn, project, (version, verdict.digest), verdict)
    admission.require_agreed(conn, project, verdict, change.at)
    slots = deployments.promoted(present, Slot("champion", version, verdict.digest, 1.0))
    ended = " The A/B test ends." if present is not None and present.arms else ""
    reason = f"Version {version} passed the gate and takes all traffic.{ended}{f' {change.reason}' if change.reason else ''}"
    expected = _expected(present, asked.expected)
    return deployments.insert(
        conn, project.name, expected=expected, slots=slots, reason=reason, verdict=verdict.id, at=change.at, actor=change.actor
    )


def roll_back(workspace: Workspace, store: Store, models: Mapping[str, int | None], change: Change) -> list[Deployment]:
    """Bring back the roles of an older generation of each model, in one transaction: of all of them, or of none.

    The generation is the one that is named, or (None) the last one with another champion. It needs no new verdict: it had one. But what a
    person has refused since does not come back.

    Raises:
        NothingToRollBack: there is no such generation.
        RollbackRefused: a person has refused the bundle of its champion.
        GenerationGone: a bundle that it needs was removed.
        BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: a bundle can no longer be served.
        NoneSwitched: any of these, where there are several.
    """
    with _whole(list(models)), store.write() as conn:
        events.lock(conn)
        return [_back(workspace, conn, model, to, change) for model, to in models.items()]


def start_test(
    workspace: Workspace, store: Store, project: Project, arms: Mapping[int, float], change: Change, *, expected: int | None = None
) -> Deployment:
    """Start an A/B test: each arm (version: share of the traffic) beside the champion, which keeps the rest.

    Each arm is a generation of its own, with the verdict that permits it, and all of them are one transaction.

    Raises:
        NotDeployed: there is no champion to compare with.
        ArmsInvalid: the shares leave the champion nothing, or a version is the champion.
        RolesTaken: a canary or another test runs.
        NotPermitted, ConsentMissing: a verdict does not let an arm take a role, or people do not.
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: an arm cannot be served.
        GenerationConflict: somebody else was first.
    """
    _require_shares(project.name, arms)
    permitted = [_permit(store, project, version, None) for version in arms]
    for verdict in permitted:
        servable(workspace, project.name, verdict.digest)
    with store.write() as conn:
        events.lock(conn)
        present = deployments.require(conn, project.name)
        _require_free(present)
        started: list[Slot] = []
        for verdict in permitted:
            require_there(workspace, verdict.digest)
            admission.require_permitted(conn, project, (verdict.version, verdict.digest), verdict)
            admission.require_agreed(conn, project, verdict, change.at)
            share = arms[verdict.version]
            started.append(Slot("arm", verdict.version, verdict.digest, share))
            reason = (
                f"Version {verdict.version} passed the gate and answers {share:.4g} of the traffic as arm of an A/B test. {change.reason}"
            )
            present = deployments.insert(
                conn,
                project.name,
                expected=_expected(present, expected),
                slots=deployments.with_arms(present, started),
                reason=reason.strip(),
                verdict=verdict.id,
                at=change.at,
                actor=change.actor,
            )
            expected = None
        return present


def stop_test(store: Store, model: str, change: Change, *, expected: int | None = None, version: int | None = None) -> Deployment:
    """End the A/B test of a model: the champion gets all traffic back. With a ``version``, only that arm goes and the others stay.

    Raises:
        NotDeployed, NoABTest: no test runs, or the version is no arm.
        GenerationConflict: somebody else was first.
    """
    with store.write() as conn:
        events.lock(conn)
        present = deployments.require(conn, model)
        if not present.arms:
            raise NoABTest(model)
        left = () if version is None else tuple(arm for arm in present.arms if arm.version != version)
        if len(left) == len(present.arms):
            raise NoABTest(model, version)
        what = "The A/B test ends" if not left else f"Version {version} was taken out of the A/B test"
        return deployments.insert(
            conn,
            model,
            expected=_expected(present, expected),
            slots=deployments.with_arms(present, left),
            reason=f"{what}: {change.reason}",
            verdict=present.verdict,
            at=change.at,
            actor=change.actor,
        )


def choose_arm(
    workspace: Workspace, store: Store, project: Project, version: int, change: Change, *, expected: int | None = None
) -> Deployment:
    """End the A/B test with one of its arms as champion; the gate's last word must still permit it.

    Raises:
        NoABTest: no test runs, or the version is no arm.
        NotPermitted, ConsentMissing: a verdict does not let it, or people do not.
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: it cannot be served.
        GenerationConflict: somebody else was first.
    """
    verdict = _permit(store, project, version, None)
    servable(workspace, project.name, verdict.digest)
    with store.write() as conn:
        events.lock(conn)
        present = deployments.require(conn, project.name)
        if all(arm.version != version for arm in present.arms):
            raise NoABTest(project.name, version if present.arms else None)
        return take(workspace, conn, Asked(project, version, verdict, expected), verdict, change)


def refused_arms(conn: Connection, project: Project, now: float) -> list[tuple[Slot, str]]:
    """Return the arms that a person has refused, each with the sentence that says who and why."""
    present = deployments.current(conn, project.name)
    found: list[tuple[Slot, str]] = []
    for arm in present.arms if present else ():
        verdict = verdicts.latest(conn, project.name, arm.version, "gate")
        standing = admission.standing(conn, project, verdict, now=now) if verdict is not None else None
        if standing is not None and standing.refusals:
            found.append((arm, standing.sentence))
    return found


def require_there(workspace: Workspace, digest: str) -> None:
    """Refuse a bundle that has been cleared away since it was looked at; under the write lock it cannot go any more.

    One that only this host has, because another one cleared the shared place, is brought there again.

    Raises:
        BundleNotFound: it is gone.
        RemoteUnavailable: it cannot be seen to that every host can have it.
    """
    place = BundlePlace.of(workspace)
    if not place.has(digest):
        raise BundleNotFound(digest, place.folder, place.shared)
    place.share(digest)


def loaded(workspace: Workspace, model: str, digest: str) -> tuple[Bundle, Engine]:
    """Return a bundle as a server would load it: every byte checked, the graph loaded, one row answered.

    Raises:
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: it cannot be served.
    """
    bundle = BundlePlace.of(workspace).get(digest)
    if bundle.manifest.model != model:
        raise BundleInvalid(MANIFEST_FILE, f"is of {bundle.manifest.model}, not of {model}")
    engine = Engine(bundle)
    engine.warm(rows=1)
    return bundle, engine


def servable(workspace: Workspace, model: str, digest: str) -> None:
    """Make sure that a bundle can be served, by every host that shares a place with this one. Raises as ``loaded`` does."""
    loaded(workspace, model, digest)
    BundlePlace.of(workspace).share(digest)


@contextmanager
def _whole(models: Sequence[str]) -> Iterator[None]:
    """Tell of several models that none was switched, where one of them could not be."""
    try:
        yield
    except TreadleError as error:
        if len(models) < 2:
            raise
        raise NoneSwitched.because(models, error) from error


def _permit(store: Store, project: Project, version: int, verdict: Verdict | None) -> Verdict:
    if verdict is None:
        with store.read() as conn:
            verdict = verdicts.latest(conn, project.name, version, "gate")
            admission.require_there(conn, project.name, version, verdict)
    if verdict is None:
        raise NotPermitted(project.name, version, "the gate has not judged it.")
    return verdict


def _expected(present: Deployment | None, expected: int | None) -> int:
    if expected is not None:
        return expected
    return present.generation if present else 0


def _require_shares(model: str, arms: Mapping[int, float]) -> None:
    if not arms:
        raise ArmsInvalid(model, "it has no arm")
    if not all(math.isfinite(share) and 0 < share < 1 for share in arms.values()):
        raise ArmsInvalid(model, f"a share does not lie between 0 and 1: {', '.join(f'{share:g}' for share in arms.values())}")
    if math.fsum(arms.values()) > 1 - 1e-9:
        raise ArmsInvalid(model, f"the shares add up to {math.fsum(arms.values()):g}, which leaves the champion nothing")


def _require_free(present: Deployment) -> None:
    if present.champion is None:
        raise NotDeployed(present.model)
    if present.canary is not None:
        raise RolesTaken(present.model, f"version {present.canary.version} as canary")
    if present.arms:
        raise RolesTaken(present.model, f"an A/B test of {' and '.join(f'version {arm.version}' for arm in present.arms)}")


def _back(workspace: Workspace, conn: Connection, model: str, to: int | None, change: Change) -> Deployment:
    present = deployments.current(conn, model)
    expected = present.generation if present else 0
    back = deployments.rollback(conn, model, expected=expected, reason=change.reason, at=change.at, actor=change.actor, to=to)
    admission.require_unrefused(conn, back)  # an error takes the new generation back
    try:
        for slot in back.slots:
            loaded(workspace, model, slot.digest)
    except BundleNotFound as error:
        older, place = deployments.history(conn, model)[:-1], BundlePlace.of(workspace)
        source = next(item for item in reversed(older) if set(deployments.settled(item)) == set(back.slots))
        there = [item.generation for item in older[:-1] if all(place.has(each.digest) for each in deployments.settled(item))]
        raise GenerationGone(model, source.generation, slot.version, slot.digest, there) from error
    return back
