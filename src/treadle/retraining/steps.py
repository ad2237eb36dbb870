"""The steps of a turn: collect → train → judge → consent → canary.

A step looks at the world, does its work, and says what follows; the controller records that. Each step can be done again
after a crash: it looks for what an earlier try has left before it makes anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.data.frame import entities, frame_from_log
from treadle.data.snapshot import SnapshotPlace
from treadle.engine.session import Engine
from treadle.engine.translate import translated
from treadle.errors import (
    ConsentMissing,
    GenerationConflict,
    LeaseLost,
    ModelNotServed,
    NoCanary,
    NotPermitted,
    RolesTaken,
    StoreUnavailable,
    TrackingUnavailable,
    TreadleError,
)
from treadle.monitoring import canary
from treadle.monitoring.canary import CanaryDecision
from treadle.projects import Project
from treadle.registry import admission, promotion, runs
from treadle.registry.succession import breach
from treadle.registry.tracking import Tracking
from treadle.retraining import rows
from treadle.retraining.decide import PROMOTED, SUPERSEDED
from treadle.retraining.trainer import Trainer
from treadle.settings import Workspace
from treadle.spec.evolution import translation
from treadle.state import deployments, log, pauses, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.turns import Turn
from treadle.state.verdicts import Verdict

CANARY_SAMPLE = 2000
"""Newest canary predictions that are replayed through the champion to measure disagreement."""


@dataclass(frozen=True)
class Next:
    """The turn goes on at another step; ``told`` is an event, kind and facts, beside the one that tells of this."""

    step: str
    data: Mapping[str, Any]
    told: tuple[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class End:
    """The turn is over."""

    outcome: str
    reason: str


Result = Next | End | None
"""None: stay at this step and look again in the next round."""


@dataclass
class Desk:
    """What the steps work with: the places of the workspace, and the trainings that run now."""

    workspace: Workspace
    store: Store
    tracking: Tracking
    bundles: BundlePlace
    snapshots: SnapshotPlace
    clock: Callable[[], float]
    trainers: dict[str, Trainer] = field(default_factory=dict)

    def dismiss(self, turn_id: str) -> None:
        """End the training of a turn, if one runs."""
        trainer = self.trainers.pop(turn_id, None)
        if trainer is not None:
            trainer.stop()


Step = Callable[[Desk, Project, Turn], Result]

PASSING = (StoreUnavailable, TrackingUnavailable, LeaseLost, GenerationConflict, NotPermitted, ConsentMissing, NoCanary, RolesTaken)
"""What the next round may find otherwise: a part that is away, or somebody else who was first."""

REJECTED = "rejected"
"""The outcome of a turn whose challenger a person has refused."""

FAILED: Mapping[str, str] = {"train": "training failed", "judge": "refused", "consent": "refused", "canary": "aborted"}
"""The outcome of a turn whose step cannot be done."""


def take(desk: Desk, project: Project, turn: Turn, *, paused: bool = False) -> Result:
    """Do the turn's present step, or what a pause leaves of it.

    A turn whose champion has been replaced ends, and so does one whose step cannot be done.
    """
    champion = _champion(_deployment(desk, project)).version
    doubted = turn.data["champion"]
    if not paused and turn.step != "canary" and champion != doubted:
        if turn.step == "train":
            _break_off(desk, project, turn)
        return End(SUPERSEDED, f"Version {champion} has become champion meanwhile; the turn was opened for version {doubted}.")
    step = hold if paused else STEPS[turn.step]
    try:
        return step(desk, project, turn)
    except PASSING:
        raise
    except TreadleError as error:
        if turn.step not in FAILED:
            raise
        _take_canary_out(desk, project, turn, error)
        return End(FAILED[turn.step], error.sentence)


def hold(desk: Desk, project: Project, turn: Turn) -> Result:
    """Do what a pause does not put off: a training keeps to its time limit, and a canary that does harm is taken out."""
    trainer = desk.trainers.get(turn.id)
    if trainer is not None:
        trainer.poll(desk.clock())
    deployment = _deployment(desk, project)
    slot = deployment.canary
    if turn.step != "canary" or slot is None or slot.digest != turn.data["digest"]:
        return None
    decision = _decision(desk, project, deployment, slot, turn)
    if decision.outcome == "abort" and decision.clause != "deadline":
        promotion.abort_canary(desk.store, project, decision, at=desk.clock())
        return _ending(desk, turn)
    return _looked(decision, turn)


def collect(desk: Desk, project: Project, turn: Turn) -> Result:
    """Wait for enough labelled rows since the onset, and snapshot them."""
    now = desk.clock()
    interface, champion = project.contract.interface, _champion(_deployment(desk, project))
    broken = breach(project.name, champion.version, desk.bundles.interface(champion.digest), interface)
    if broken is not None:
        return End("refused", f"{broken.sentence}\n{broken.fix}")
    with desk.store.read() as conn:
        harvest = rows.harvest(conn, desk.bundles, project, onset=turn.data["onset"], now=now)
    if not harvest.enough:
        what = f"fewer than {harvest.needed} labelled rows had matured since the onset.{harvest.told}"
        return _out_of_patience(desk, project, turn, what)
    snapshot = desk.snapshots.find(project.name, lambda one: one.meta.get("turn") == turn.id)
    if snapshot is None:
        meta = {"source": "log", "turn": turn.id, "cut": float(harvest.rows.at.max())}
        snapshot = desk.snapshots.save(project.name, frame_from_log(interface, harvest.rows), meta)
    told = {"left_out": list(harvest.left_out)} if harvest.left_out else {}
    return Next("train", {"snapshot": snapshot.digest, "cut": snapshot.meta["cut"], "rows": snapshot.rows, **told})


def train(desk: Desk, project: Project, turn: Turn) -> Result:
    """Train a challenger in its own process; the model version carries the turn's id and is looked for first."""
    trainer = desk.trainers.get(turn.id)
    failure = trainer.poll(desk.clock()) if trainer is not None else None
    if trainer is not None and failure is None:
        return None
    # What a training has left counts, not how it ended.
    version = desk.tracking.find_by_turn(project.name, turn.id)
    if version is not None:
        desk.dismiss(turn.id)
        return Next("judge", {"version": version, "digest": desk.tracking.version(project.name, version).digest})
    if trainer is None:
        deadline = desk.clock() + project.contract.policy.retrain.time_limit
        desk.trainers[turn.id] = Trainer(desk.workspace, turn, deadline=deadline)
        return None
    _break_off(desk, project, turn)
    return End("training failed", f"The training failed: {failure or 'it registered no version'}. Its log is {trainer.log}.")


def _break_off(desk: Desk, project: Project, turn: Turn) -> None:
    """Leave no training behind, nor a run that MLflow takes for one: of this controller, or of one that died."""
    desk.dismiss(turn.id)
    runs.end_orphans(desk.tracking, project.name, turn.id)


def judge(desk: Desk, project: Project, turn: Turn) -> Result:
    """Gate the challenger against the champion on later, labelled rows of other entities, and start the canary."""
    version, digest, cut = turn.data["version"], turn.data["digest"], turn.data["cut"]
    deployment = _deployment(desk, project)
    if deployment.arms:
        return None  # one comparison runs at a time: the challenger is judged when the A/B test has ended
    begun = deployment.canary is not None and deployment.canary.digest == digest
    frame, _ = desk.snapshots.load(project.name, turn.data["snapshot"])
    interface = desk.bundles.interface(digest)  # not the contract's, which may have changed since the training
    challenger = rows.Challenger(interface, cut, entities(interface, frame))
    with desk.store.read() as conn:
        holding = _holding(conn, project, turn)
    earlier = holding if holding is not None and holding.evidence.get("turn") == turn.id else None
    # Where an earlier try has started the canary, or has only judged, the rows of that moment are found again.
    now = deployment.at if begun else earlier.at if earlier else desk.clock()
    with desk.store.read() as conn:
        jury = rows.jury(conn, desk.bundles, project, challenger, now=now)
    if begun:
        return _on_to_canary(deployment, disagreement(desk, deployment, digest, jury.rows.matrix) if jury.enough else None)
    if not jury.enough:
        what = f"fewer than {jury.needed} labelled rows later than the training cut had matured.{jury.told}"
        return _out_of_patience(desk, project, turn, what)
    verdict = earlier or promotion.gate_version(desk.workspace, desk.store, project, version, at=now, jury=jury, turn_id=turn.id)
    if not verdict.passed:
        return End("refused", "The gate refused the challenger. " + " ".join(verdict.reasons))
    rehearsed = disagreement(desk, deployment, digest, jury.rows.matrix)
    with desk.store.read() as conn:
        standing = admission.standing(conn, project, verdict, now=desk.clock())
    if not standing.given:
        asked = {"version": version, "verdict": verdict.id, "people": standing.missing, "of": list(project.contract.policy.approval.of)}
        return Next("consent", {"rehearsed": rehearsed, "verdict": verdict.id}, ("approval.needed", asked))
    started = promotion.start_canary(desk.workspace, desk.store, project, version, verdict, at=desk.clock())
    return _on_to_canary(started, rehearsed)


def _holding(conn: Connection, project: Project, turn: Turn) -> Verdict | None:
    """Return the gate's last word on the challenger, by whomever it was asked, as long as it lets it take a role."""
    version, digest = turn.data["version"], turn.data["digest"]
    found = verdicts.latest(conn, project.name, version, "gate")
    if found is None or admission.objection(conn, project, (version, digest), found)[1] is not None:
        return None
    return found


def consent(desk: Desk, project: Project, turn: Turn) -> Result:
    """Wait until people agree to the challenger, and start the canary under the verdict that they agreed to."""
    version, digest, now = turn.data["version"], turn.data["digest"], desk.clock()
    deployment = _deployment(desk, project)
    if deployment.canary is not None and deployment.canary.digest == digest:
        return _on_to_canary(deployment, turn.data["rehearsed"])
    with desk.store.read() as conn:
        # It is what people agree to.
        verdict = _holding(conn, project, turn)
        if verdict is None:
            return Next("judge", {})
        standing = admission.standing(conn, project, verdict, now=now)
    if standing.refusals:
        return End(REJECTED, standing.sentence)
    if not standing.given:
        return _out_of_patience(desk, project, turn, standing.sentence, outcome="no consent")
    if deployment.arms:
        return None  # as in judge
    started = promotion.start_canary(desk.workspace, desk.store, project, version, verdict, at=now)
    return _on_to_canary(started, turn.data["rehearsed"])


def _on_to_canary(started: Deployment, rehearsed: tuple[int, int] | None) -> Next:
    return Next("canary", {"canary_at": started.at, "rehearsed": rehearsed, "verdict": started.verdict})


def watch_canary(desk: Desk, project: Project, turn: Turn) -> Result:
    """Judge the live canary at its planned looks; promote it, or take it out."""
    deployment = _deployment(desk, project)
    slot = deployment.canary
    if slot is None or slot.digest != turn.data["digest"]:
        return _ending(desk, turn)
    decision, now = _decision(desk, project, deployment, slot, turn), desk.clock()
    if decision.outcome == "continue":
        return _looked(decision, turn)
    if decision.outcome == "pass":
        try:
            promotion.promote_canary(desk.workspace, desk.store, project, _permit(desk, deployment, slot), decision, at=now)
            return _ending(desk, turn)
        except NotPermitted as error:
            # The policy has changed since the gate: what was permitted then is not now.
            decision = replace(decision, outcome="abort", clause=None, reasons=(error.what,))
    promotion.abort_canary(desk.store, project, decision, at=now)
    return _ending(desk, turn)


def _decision(desk: Desk, project: Project, deployment: Deployment, slot: Slot, turn: Turn) -> CanaryDecision:
    """Return what follows from what the canary has done; a person who refuses it now is heard before that."""
    policy, looked = project.contract.policy, turn.data.get("looked", 0)
    with desk.store.read() as conn:
        judged = (verdicts.get(conn, deployment.verdict or ""), verdicts.latest(conn, project.name, slot.version, "gate"))
        standings = [admission.standing(conn, project, verdict, now=deployment.at) for verdict in judged if verdict is not None]
    refused = next((standing.sentence for standing in standings if standing.refusals), None)
    if refused is not None:
        return CanaryDecision("abort", "consent", (refused,), looked)
    counts = _canary_counts(desk, project, deployment, slot, turn)
    return canary.decide(counts, policy.rollout, policy.slo, elapsed=_going(desk, project, turn.data["canary_at"]), looked=looked)


def _looked(decision: CanaryDecision, turn: Turn) -> Next | None:
    """Keep that the canary was looked at, where it goes on."""
    new = decision.outcome == "continue" and decision.look > turn.data.get("looked", 0)
    return Next("canary", {"looked": decision.look, "seen": decision.reasons[0]}) if new else None


def _ending(desk: Desk, turn: Turn) -> End:
    """Return how the canary of a turn has ended, as the record has it; an earlier try may have judged it and died."""
    version = turn.data["version"]
    with desk.store.read() as conn:
        seen = verdicts.latest(conn, turn.model, version, "canary")
    if seen is None:
        return End(SUPERSEDED, "The canary was taken out or replaced by somebody else; the turn ends without a judgement.")
    decided, reasons = seen.evidence["clause"], " ".join(seen.reasons)
    if decided == "consent":
        return End(REJECTED, reasons)
    reasons = f"The clause {decided!r} decided. {reasons}" if decided else reasons
    return End(PROMOTED, f"Version {version} is the champion. {reasons}") if seen.passed else End(FAILED["canary"], reasons)


def _permit(desk: Desk, deployment: Deployment, slot: Slot) -> Verdict:
    """Return the gate's verdict under which the canary has started."""
    with desk.store.read() as conn:
        found = verdicts.get(conn, deployment.verdict or "")
    if found is None:
        raise NotPermitted(deployment.model, slot.version, "no verdict of the gate let it start.")
    return found


def _take_canary_out(desk: Desk, project: Project, turn: Turn, error: TreadleError) -> None:
    """Leave no canary behind that cannot be watched."""
    slot = _deployment(desk, project).canary
    if slot is not None and slot.digest == turn.data.get("digest"):
        promotion.abort_canary(desk.store, project, CanaryDecision("abort", None, (error.sentence,), 0), at=desk.clock())


def _canary_counts(desk: Desk, project: Project, deployment: Deployment, slot: Slot, turn: Turn) -> canary.CanaryCounts:
    since, now = turn.data["canary_at"], desk.clock()
    with desk.store.read() as conn:
        sides = log.canary_counts(conn, project.name, since=since)
        sample = log.recent_rows(conn, project.name, version=slot.version, since=since, until=now, limit=CANARY_SAMPLE)
    live = disagreement(desk, deployment, slot.digest, sample.matrix)
    return canary.CanaryCounts(sides[slot.version], sides[_champion(deployment).version], live, turn.data.get("rehearsed"))


def disagreement(desk: Desk, deployment: Deployment, digest: str, matrix: np.ndarray) -> tuple[int, int]:
    """Return on how many rows of the challenger's interface champion and challenger disagree, and how many rows there are."""
    champion, challenger = (desk.bundles.get(one) for one in (_champion(deployment).digest, digest))
    back = translation(challenger.interface, champion.interface)
    if back is None or not len(matrix):
        return 0, 0
    scores = Engine(champion).run(translated(back, matrix)), Engine(challenger).run(matrix)
    return canary.disagreements(*scores), len(matrix)


def _champion(deployment: Deployment) -> Slot:
    if deployment.champion is None:
        raise ModelNotServed(deployment.model, [])
    return deployment.champion


def _deployment(desk: Desk, project: Project) -> Deployment:
    with desk.store.read() as conn:
        found = deployments.current(conn, project.name)
    if found is None:
        raise ModelNotServed(project.name, [])
    return found


def _out_of_patience(desk: Desk, project: Project, turn: Turn, what: str, *, outcome: str = "no labels") -> Result:
    waited = _going(desk, project, turn.updated_at)
    if waited <= project.contract.policy.retrain.patience:
        return None
    return End(outcome, f"After {waited:.0f} s (retrain.patience): {what}")


def _going(desk: Desk, project: Project, since: float) -> float:
    """Return the seconds from a moment until now in which the loop of a model was not paused."""
    now = desk.clock()
    with desk.store.read() as conn:
        return now - since - pauses.held(conn, project.name, since=since, until=now)


STEPS: Mapping[str, Step] = {"collect": collect, "train": train, "judge": judge, "consent": consent, "canary": watch_canary}
FIRST_STEP = "collect"
