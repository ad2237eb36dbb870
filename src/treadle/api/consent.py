"""Let people decide: approve, reject, pause, resume."""

import time
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, opened

if TYPE_CHECKING:
    from treadle.registry.consent import Standing
    from treadle.settings import Workspace
    from treadle.state.consents import Decision
    from treadle.state.pauses import Pause
    from treadle.state.store import Store


def approve(model: str, version: int | None = None, *, reason: str, workspace: Place = None) -> "Standing":
    """Agree that a version takes a role. It is about the gate's last verdict on it; a new verdict asks anew.

    Args:
        model: name of the project.
        version: number of the version; without it, the one that was judged last.
        reason: why, for the record.
        workspace: where; without it, the workspace of the current folder.

    Returns:
        Who has agreed by now, and how many are missing. It promotes nothing; a turn of the loop that waits for it goes on by itself.

    Raises:
        RoleMissing, NotAsked: you have no say about this model.
        VersionNotFound: there is no such version.
        AlreadyChampion: it has the role already.
        NothingToConsent: the gate has not let the version pass as things are now.
        ReasonMissing: the reason is empty.
    """
    with opened(workspace) as (place, store):
        return _say(place, store, "approve", (model, version), reason)


def reject(model: str, version: int | None = None, *, reason: str, workspace: Place = None) -> "Standing":
    """Refuse a version; also one that answers as canary, which the loop then takes out.

    It stands, whatever the gate or the policy says later, until you approve it after all. The champion goes on answering until a
    rollback or another version takes its place, and does not come back after that.
    Arguments, result and errors are those of ``approve``, but that it also takes the champion, and a version that the gate refuses.
    """
    with opened(workspace) as (place, store):
        return _say(place, store, "reject", (model, version), reason)


def pause(model: str, *, reason: str, workspace: Place = None) -> "Pause":
    """Stop the loop of a model: no turn opens and no step goes on, but a canary that does harm is still taken out.

    One that is paused already stays as it is, and that pause is returned.
    """
    found = _turn(model, paused=True, reason=reason, workspace=workspace)
    if found is None:
        message = "a loop that was just paused has a pause"
        raise AssertionError(message)
    return found


def resume(model: str, *, reason: str = "Resumed by hand.", workspace: Place = None) -> "Pause | None":
    """Let the loop of a model go on. Returns what is known of the end of its last pause; None if it never had one."""
    return _turn(model, paused=False, reason=reason, workspace=workspace)


def _say(place: "Workspace", store: "Store", decision: "Decision", about: tuple[str, int | None], reason: str) -> "Standing":
    from dataclasses import replace

    from treadle.errors import AlreadyChampion, NotAsked, NothingToConsent
    from treadle.projects import find
    from treadle.registry import admission
    from treadle.state import consents, deployments, turns, verdicts
    from treadle.state.consents import Word

    project, who = find(place, about[0]), acting(place, "approve")
    approval = project.contract.policy.approval
    word = Word(decision, consents.why(f"{decision} a version", reason), who.name, who.source, time.time())
    with store.write() as conn:
        verdict = verdicts.latest(conn, project.name, about[1], "gate")
        # Who has refused may always take it back, though he is asked no more and though the verdict has grown old.
        lifts = decision == "approve" and verdict is not None and admission.refused_by(conn, verdict, who.name)
        if not (lifts or approval.asks(who.name)):
            raise NotAsked(project.name, who.name, approval.of)
        admission.require_there(conn, project.name, about[1], verdict)
        if verdict is None:
            raise NothingToConsent(project.name, about[1], "the gate has not judged it.")
        present, objection = admission.objection(conn, project, (verdict.version, verdict.digest), verdict)
        champion = present is not None and present.champion is not None and present.champion.digest == verdict.digest
        if decision == "approve" and champion and not lifts:
            raise AlreadyChampion(project.name, verdict.version)
        if decision == "approve" and objection is not None and not lifts:
            raise NothingToConsent(project.name, verdict.version, objection)
        consents.give(conn, word.on(verdict))
        turn = turns.current(conn, project.name)
        awaited = turn is not None and turn.step == "consent" and turn.data["version"] == verdict.version
        replaceable = champion and deployments.before(deployments.history(conn, project.name)) is not None
        found = admission.standing(conn, project, verdict, now=word.at)
        return replace(found, awaited=awaited, champion=champion, replaceable=replaceable)


def _turn(model: str, *, paused: bool, reason: str, workspace: Place) -> "Pause | None":
    from treadle.projects import find
    from treadle.state import consents, pauses

    kept = consents.why("pause a loop" if paused else "resume a loop", reason)
    with opened(workspace) as (place, store):
        find(place, model)
        who = acting(place, "operate")
        with store.write() as conn:
            return pauses.turn(conn, model, paused=paused, reason=kept, actor=who.name, at=time.time())
