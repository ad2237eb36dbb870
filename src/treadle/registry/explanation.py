"""The last decision about a model in sentences, from its records: the answer to "why?"."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from treadle.state import consents, deployments, turns, verdicts
from treadle.state.consents import Consent
from treadle.state.deployments import Deployment
from treadle.state.schema import verdicts as verdict_table
from treadle.state.store import Store
from treadle.state.turns import Turn
from treadle.state.verdicts import Verdict
from treadle.times import when


def explain(store: Store, model: str) -> list[str]:
    """Return the last decision about ``model`` and what it rested on, newest first."""
    with store.read() as conn:
        deployment = deployments.current(conn, model)
        newest = _newest_verdict(conn, model)
        behind = verdicts.get(conn, deployment.verdict) if deployment and deployment.verdict else None
        said = {one.id: consents.on(conn, one.id) for one in (newest, behind) if one is not None}
        closed = next((turn for turn in turns.recent(conn, model) if turn.closed_at is not None), None)
    sentences = []
    if newest is not None and (behind is None or newest.id != behind.id):
        sentences += _judged(newest) + _said(said[newest.id])
    sentences += _deployed(model, deployment) + (_judged(behind) + _said(said[behind.id]) if behind else [])
    return sentences + (_turned(closed) if closed else [])


def _newest_verdict(conn: Connection, model: str) -> Verdict | None:
    of_model = select(verdict_table.c.id).where(verdict_table.c.model == model)
    found = conn.execute(of_model.order_by(verdict_table.c.at.desc(), verdict_table.c.id.desc()).limit(1)).scalar()
    return verdicts.get(conn, found) if found is not None else None


def _judged(verdict: Verdict) -> list[str]:
    judge = {"gate": "the gate", "canary": "the live canary"}[verdict.kind]
    what = "let version {} pass" if verdict.passed else "refused version {}"
    return [f"{when(verdict.at)}: {judge} {what.format(verdict.version)}.", *verdict.reasons]


def _said(words: Sequence[Consent]) -> list[str]:
    """Return what people have said about a verdict, each with the reason."""
    did = {"approve": "approved", "reject": "refused"}
    return [f"{when(one.at)}: {one.actor} {did[one.decision]} version {one.version}: {one.reason}" for one in words]


def _deployed(model: str, deployment: Deployment | None) -> list[str]:
    if deployment is None:
        return [f"{model} has never been deployed."]
    roles = ", ".join(f"version {slot.version} is {slot.role} ({slot.weight:.0%})" for slot in deployment.slots)
    return [f"{when(deployment.at)}: generation {deployment.generation}, by {deployment.actor}: {roles}. {deployment.reason}"]


def _turned(turn: Turn) -> list[str]:
    return [
        f"{when(turn.closed_at or turn.updated_at)}: the last turn of the loop ended ({turn.outcome}). {turn.reason}",
        f"It had opened for this reason: {turn.cause}",
    ]
