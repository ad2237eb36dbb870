"""Read what the retraining policy needs to know about one model."""

from sqlalchemy import Connection

from treadle.projects import Project
from treadle.retraining.decide import DRILL, Situation
from treadle.state import deployments, episodes, log, pauses, turns


def read_situation(conn: Connection, project: Project, *, now: float) -> Situation:
    """Return the situation of a model that is deployed."""
    since = deployments.champion_since(conn, project.name)
    ours = [turn for turn in turns.recent(conn, project.name) if DRILL not in turn.data]
    closed = [turn for turn in ours if turn.closed_at is not None and turn.opened_at >= since]
    return Situation(
        episodes=episodes.open_ones(conn, project.name),
        open_turn=turns.current(conn, project.name),
        recent=closed,
        new_labels=_matured_since(conn, project, closed[0].closed_at or now, now) if closed else 0,
        now=now,
        pause=pauses.current(conn, project.name),
    )


def _matured_since(conn: Connection, project: Project, then: float, now: float) -> int:
    labels = project.contract.policy.labels
    return log.count_labelled(conn, project.name, since=then - labels.maturity, until=now - labels.maturity, missing=labels.missing)
