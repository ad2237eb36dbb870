"""How a version is judged, gets a role and loses it. Every way to a role needs a recorded verdict that permits it."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Protocol

from sqlalchemy import Connection

from treadle.errors import NoCanary, NotPermitted, RolesTaken
from treadle.projects import Project
from treadle.registry import admission, evidence, gate, roles
from treadle.registry.evidence import Candidate, Jury
from treadle.registry.roles import Asked, Change
from treadle.registry.tracking import Tracking
from treadle.settings import Workspace
from treadle.state import deployments, events, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.verdicts import Verdict


class CanaryDecision(Protocol):
    """What the live canary has shown (see ``monitoring.canary``)."""

    @property
    def outcome(self) -> str:
        """What follows: "pass" or "abort"."""

    @property
    def clause(self) -> str | None:
        """The name of the clause that decided."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in full sentences."""


def gate_version(  # noqa: PLR0913 - a judgement names everything that it rests on
    workspace: Workspace,
    store: Store,
    project: Project,
    version: int,
    *,
    at: float,
    jury: Jury | None = None,
    turn_id: str | None = None,
) -> Verdict:
    """Judge a version by the policy as it is now, against the champion as it is now, and record the verdict.

    Champion and challenger are compared on the ``jury``, or else on their common holdout. The verdict names the turn that asked.

    Raises:
        VersionNotFound, VersionNotSealed: MLflow knows no such version.
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: a bundle cannot be served.
        RowsOverlap: the challenger may have learnt from the ``jury``.
    """
    challenger = load(workspace, project.name, version, Tracking(workspace).version(project.name, version).digest)
    with store.read() as conn:
        present = deployments.current(conn, project.name)
    slot = present.champion if present else None
    champion = load(workspace, project.name, slot.version, slot.digest) if slot else None
    found = evidence.gather(workspace, project, challenger, champion, jury)
    clauses = gate.judge(found, project.contract.policy.gate, project.contract.metric)
    verdict = Verdict(
        id=str(uuid.uuid4()),
        model=project.name,
        version=version,
        digest=challenger.bundle.digest,
        kind="gate",
        passed=all(clause.passed for clause in clauses),
        reasons=gate.reasons(clauses),
        policy_digest=project.contract.policy.digest,
        evidence={
            "champion": slot.digest if slot else None,
            "clauses": {clause.name: clause.passed for clause in clauses},
            "measured": _plain(asdict(found)),
            **({"turn": turn_id} if turn_id else {}),
        },
        at=at,
    )
    with store.write() as conn:
        return verdicts.record(conn, verdict)


def promote(  # noqa: PLR0913 - a change of roles names everything that it rests on
    workspace: Workspace, store: Store, project: Project, version: int, verdict: Verdict, *, at: float, actor: str = "treadle"
) -> Deployment:
    """Give a version all traffic; the old champion stays as the fallback.

    Raises:
        NotPermitted: the verdict does not let it; the error says why.
        ConsentMissing: the verdict does, but people must agree, or one has refused.
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: the bundle cannot be served.
        GenerationConflict: somebody else was first.
    """
    digest = _servable(workspace, project, version)
    if digest != verdict.digest:
        verdict = replace(verdict, digest=digest)  # what is refused then says so
    with store.write() as conn:
        events.lock(conn)  # what is read from here on is true when it commits
        return roles.take(workspace, conn, Asked(project, version), verdict, Change(actor, at))


def start_canary(  # noqa: PLR0913 - as promote
    workspace: Workspace, store: Store, project: Project, version: int, verdict: Verdict, *, at: float, actor: str = "treadle"
) -> Deployment:
    """Give a version the share of traffic that the policy names, taken from the champion. Raises as ``promote`` does."""
    digest = _servable(workspace, project, version)
    weight = project.contract.policy.rollout.weight
    with store.write() as conn:
        events.lock(conn)  # what is read from here on is true when it commits
        roles.require_there(workspace, digest)
        present = admission.require_permitted(conn, project, (version, digest), verdict)
        admission.require_agreed(conn, project, verdict, at)
        if present is None:
            raise NotPermitted(project.name, version, "there is no champion that a canary could be compared with.")
        if present.arms:
            raise RolesTaken(project.name, "an A/B test")
        slots = deployments.with_canary(present, version, digest, weight)
        reason = f"Version {version} passed the gate and answers {weight:.0%} of the traffic as canary."
        return _insert(conn, project.name, present, slots=slots, reason=reason, verdict=verdict.id, at=at, actor=actor)


def promote_canary(
    workspace: Workspace, store: Store, project: Project, verdict: Verdict, decision: CanaryDecision, *, at: float
) -> Deployment:
    """Make the canary champion: ``verdict`` is the gate's that let it start, ``decision`` what it has shown since, which is recorded.

    Raises as ``promote`` does; also:
        NoCanary: the version is no canary any more.
        NotPermitted: ``decision`` is no "pass".
    """
    version = verdict.version
    digest = _servable(workspace, project, version)
    if decision.outcome != "pass":
        raise NotPermitted(project.name, version, f"as canary it has not passed: {' '.join(decision.reasons)}")
    with store.write() as conn:
        events.lock(conn)
        present = admission.require_permitted(conn, project, (version, digest), verdict, newest=False)
        canary = present.canary if present else None
        if present is None or canary is None or canary.digest != digest:
            raise NoCanary(project.name, version)
        # A consent that held when the canary started holds to its end; a refusal counts whenever it comes.
        admission.require_agreed(conn, project, verdict, present.at)
        seen = _record_canary(conn, project, canary, decision, at)
        slots = deployments.promoted(present, canary)
        reason = f"Version {version} passed as canary and takes all traffic."
        return _insert(conn, project.name, present, slots=slots, reason=reason, verdict=seen.id, at=at)


def abort_canary(store: Store, project: Project, decision: CanaryDecision, *, at: float) -> Deployment:
    """Take the canary out, and record why.

    Raises:
        NoCanary: there is none.
        GenerationConflict: somebody else was first.
    """
    with store.write() as conn:
        events.lock(conn)
        present = deployments.current(conn, project.name)
        if present is None or present.canary is None:
            raise NoCanary(project.name)
        canary = present.canary
        seen = _record_canary(conn, project, canary, decision, at)
        reason = f"Version {canary.version} was taken out as canary."
        return _insert(conn, project.name, present, slots=deployments.without_canary(present), reason=reason, verdict=seen.id, at=at)


def rollback(  # noqa: PLR0913 - as promote
    workspace: Workspace, store: Store, model: str, *, reason: str, at: float, actor: str = "treadle", to: int | None = None
) -> Deployment:
    """Bring back the roles of an older generation (``to``, or the last one with another champion) as a new one.

    It needs no new verdict: the older generation had one. But what a person has refused since does not come back.

    Raises:
        NothingToRollBack: there is no such generation.
        RollbackRefused: a person has refused the bundle of its champion.
        GenerationGone: a bundle that it needs was removed.
        BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: a bundle can no longer be served.
    """
    (back,) = roles.roll_back(workspace, store, {model: to}, Change(actor, at, reason))
    return back


def load(workspace: Workspace, model: str, version: int, digest: str) -> Candidate:
    """Return a version as a server would load it: every byte checked, the graph loaded, one row answered.

    Raises:
        BundleNotFound, BundleCorrupt, BundleInvalid, GraphInvalid, InferenceFailed: it cannot be served.
    """
    bundle, engine = roles.loaded(workspace, model, digest)
    return Candidate(version, bundle, engine)


def _servable(workspace: Workspace, project: Project, version: int) -> str:
    """Return the digest that MLflow has for a version, if its bundle can be served, by every host that shares a place with this one."""
    digest = Tracking(workspace).version(project.name, version).digest
    roles.servable(workspace, project.name, digest)
    return digest


def _record_canary(conn: Connection, project: Project, canary: Slot, decision: CanaryDecision, at: float) -> Verdict:
    verdict = Verdict(
        id=str(uuid.uuid4()),
        model=project.name,
        version=canary.version,
        digest=canary.digest,
        kind="canary",
        passed=decision.outcome == "pass",
        reasons=tuple(decision.reasons),
        policy_digest=project.contract.policy.digest,
        evidence={"clause": decision.clause},
        at=at,
    )
    return verdicts.record(conn, verdict)


def _insert(  # noqa: PLR0913 - as promote
    conn: Connection,
    model: str,
    present: Deployment | None,
    *,
    slots: tuple[Slot, ...],
    reason: str,
    verdict: str,
    at: float,
    actor: str = "treadle",
) -> Deployment:
    expected = present.generation if present else 0
    return deployments.insert(conn, model, expected=expected, slots=slots, reason=reason, verdict=verdict, at=at, actor=actor)


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: what is not a number is null."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
