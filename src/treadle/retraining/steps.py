"""The steps of a turn: collect → train → judge → canary.

A step looks at the world, does its work, and says what follows; the controller records that. Each step can be done again
after a crash: it looks for what an earlier try has left before it makes anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from treadle.bundle.place import BundlePlace
from treadle.data.frame import entities
from treadle.data.snapshot import SnapshotPlace
from treadle.engine.session import Engine
from treadle.errors import (
    GenerationConflict,
    LeaseLost,
    ModelNotServed,
    NoCanary,
    NotPermitted,
    StoreUnavailable,
    TrackingUnavailable,
    TreadleError,
)
from treadle.monitoring import canary
from treadle.monitoring.canary import CanaryDecision
from treadle.projects import Project
from treadle.registry import promotion, runs
from treadle.registry.evidence import encoding
from treadle.registry.tracking import Tracking
from treadle.retraining import rows
from treadle.retraining.decide import PROMOTED, SUPERSEDED
from treadle.retraining.trainer import Trainer
from treadle.settings import Workspace
from treadle.state import deployments, log, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.turns import Turn
from treadle.state.verdicts import Verdict

CANARY_SAMPLE = 2000
"""Newest canary predictions that are replayed through the champion to measure disagreement."""


@dataclass(frozen=True)
class Next:
    """The turn goes on at another step."""

    step: str
    data: Mapping[str, Any]


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

PASSING = (StoreUnavailable, TrackingUnavailable, LeaseLost, GenerationConflict, NotPermitted, NoCanary)
"""What the next round may find otherwise: a part that is away, or somebody else who was first."""

FAILED: Mapping[str, str] = {"train": "training failed", "judge": "refused", "canary": "aborted"}
"""The outcome of a turn whose step cannot be done."""


def take(desk: Desk, project: Project, turn: Turn) -> Result:
    """Do the turn's present step. A turn whose champion has been replaced ends, and so does one whose step cannot be done."""
    champion = _champion(_deployment(desk, project)).version
    doubted = turn.data["champion"]
    if turn.step != "canary" and champion != doubted:
        return End(SUPERSEDED, f"Version {champion} has become champion meanwhile; the turn was opened for version {doubted}.")
    try:
        return STEPS[turn.step](desk, project, turn)
    except PASSING:
        raise
    except TreadleError as error:
        if turn.step not in FAILED:
            raise
        _take_canary_out(desk, project, turn, error)
        return End(FAILED[turn.step], error.sentence)


def collect(desk: Desk, project: Project, turn: Turn) -> Result:
    """Wait for enough labelled rows since the onset, and snapshot them."""
    now = desk.clock()
    served = desk.bundles.get(_champion(_deployment(desk, project)).digest).interface
    if encoding(served) != encoding(project.contract.interface):
        return End(
            "refused",
            "The contract's features or classes are no longer those that the champion's rows were logged under. "
            f"Train and promote a version of the new contract by hand (`treadle train {project.name}`).",
        )
    with desk.store.read() as conn:
        harvest = rows.harvest(conn, project, onset=turn.data["onset"], now=now)
    if harvest is None:
        return _out_of_patience(
            project, turn, now, f"fewer than {project.contract.policy.retrain.min_rows} labelled rows had matured since the onset"
        )
    snapshot = next((one for one in desk.snapshots.list(project.name) if one.meta.get("turn") == turn.id), None)
    if snapshot is None:
        snapshot = desk.snapshots.save(project.name, harvest.frame, {"source": "log", "turn": turn.id, "cut": harvest.cut})
    return Next("train", {"snapshot": snapshot.digest, "cut": snapshot.meta["cut"], "rows": snapshot.rows})


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
    runs.end_orphans(desk.tracking, project.name, turn.id)
    desk.dismiss(turn.id)
    return End("training failed", f"The training failed: {failure or 'it registered no version'}. Its log is {trainer.log}.")


def judge(desk: Desk, project: Project, turn: Turn) -> Result:
    """Gate the challenger against the champion on later, labelled rows of other entities, and start the canary."""
    version, digest, cut = turn.data["version"], turn.data["digest"], turn.data["cut"]
    deployment = _deployment(desk, project)
    begun = deployment.canary is not None and deployment.canary.digest == digest
    frame, _ = desk.snapshots.load(project.name, turn.data["snapshot"])
    trained_on = entities(project.contract.interface, frame)
    # Where an earlier try has started the canary, the rows of that moment are found again.
    now = deployment.at if begun else desk.clock()
    with desk.store.read() as conn:
        jury = rows.jury(conn, project, cut=cut, trained_on=trained_on, now=now)
    if begun:
        return _on_to_canary(deployment, disagreement(desk, deployment, digest, jury.matrix) if jury is not None else None)
    if jury is None:
        need = project.contract.policy.retrain.judge_rows
        return _out_of_patience(project, turn, now, f"fewer than {need} labelled rows later than the training cut had matured")
    verdict = promotion.gate_version(desk.workspace, desk.store, project, version, at=now, evidence_rows=jury)
    if not verdict.passed:
        return End("refused", "The gate refused the challenger. " + " ".join(verdict.reasons))
    rehearsed = disagreement(desk, deployment, digest, jury.matrix)
    started = promotion.start_canary(desk.workspace, desk.store, project, version, verdict, at=desk.clock())
    return _on_to_canary(started, rehearsed)


def _on_to_canary(started: Deployment, rehearsed: tuple[int, int] | None) -> Next:
    return Next("canary", {"canary_at": started.at, "rehearsed": rehearsed, "verdict": started.verdict})


def watch_canary(desk: Desk, project: Project, turn: Turn) -> Result:
    """Judge the live canary at its planned looks; promote it, or take it out."""
    deployment = _deployment(desk, project)
    slot = deployment.canary
    if slot is None or slot.digest != turn.data["digest"]:
        return _ending(desk, turn)
    policy = project.contract.policy
    now = desk.clock()
    counts = _canary_counts(desk, project, deployment, slot, turn)
    looked = turn.data.get("looked", 0)
    decision = canary.decide(counts, policy.rollout, policy.slo, elapsed=now - turn.data["canary_at"], looked=looked)
    if decision.outcome == "continue":
        return Next("canary", {"looked": decision.look, "seen": decision.reasons[0]}) if decision.look > looked else None
    if decision.outcome == "pass":
        try:
            promotion.promote_canary(desk.workspace, desk.store, project, _permit(desk, deployment, slot), decision, at=now)
            return _ending(desk, turn)
        except NotPermitted as error:
            # The policy has changed since the gate: what was permitted then is not now.
            decision = replace(decision, outcome="abort", clause=None, reasons=(error.what,))
    promotion.abort_canary(desk.store, project, decision, at=now)
    return _ending(desk, turn)


def _ending(desk: Desk, turn: Turn) -> End:
    """Return how the canary of a turn has ended, as the record has it; an earlier try may have judged it and died."""
    version = turn.data["version"]
    with desk.store.read() as conn:
        seen = verdicts.latest(conn, turn.model, version, "canary")
    if seen is None:
        return End(SUPERSEDED, "The canary was taken out or replaced by somebody else; the turn ends without a judgement.")
    clause = f"The clause {seen.evidence['clause']!r} decided. " if seen.evidence["clause"] else ""
    reasons = clause + " ".join(seen.reasons)
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
    """Return on how many of the rows champion and challenger disagree, and how many rows there are."""
    if not len(matrix):
        return 0, 0
    return canary.disagreements(_scores(desk, _champion(deployment).digest, matrix), _scores(desk, digest, matrix)), len(matrix)


def _champion(deployment: Deployment) -> Slot:
    if deployment.champion is None:
        raise ModelNotServed(deployment.model, [])
    return deployment.champion


def _scores(desk: Desk, digest: str, matrix: np.ndarray) -> np.ndarray:
    return Engine(desk.bundles.get(digest)).run(matrix)


def _deployment(desk: Desk, project: Project) -> Deployment:
    with desk.store.read() as conn:
        found = deployments.current(conn, project.name)
    if found is None:
        raise ModelNotServed(project.name, [])
    return found


def _out_of_patience(project: Project, turn: Turn, now: float, what: str) -> Result:
    waited = now - turn.updated_at
    if waited <= project.contract.policy.retrain.patience:
        return None
    return End("no labels", f"After {waited:.0f} s (retrain.patience) {what}.")


STEPS: Mapping[str, Step] = {"collect": collect, "train": train, "judge": judge, "canary": watch_canary}
FIRST_STEP = "collect"
