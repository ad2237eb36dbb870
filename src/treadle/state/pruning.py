"""Old rows of the log leave the store: a bite per transaction, so that whoever ships meanwhile need not wait.

A prediction goes with its labels. One that a waiting label may still be about stays, and so does a label that waits. The
record (deployments, turns, episodes, verdicts, events) stays for good; how far segments were shipped is kept by ``compaction``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select

from treadle.state import events
from treadle.state.schema import labels, predictions, profile_parts

SAMPLE = 500
"""Rows from whose length the size of all is estimated."""


@dataclass(frozen=True)
class Pruned:
    """How much went, or would go."""

    predictions: int = 0
    labels: int = 0
    parts: int = 0

    @property
    def rows(self) -> int:
        """All of them together."""
        return self.predictions + self.labels + self.parts

    def __add__(self, other: "Pruned") -> "Pruned":
        return Pruned(self.predictions + other.predictions, self.labels + other.labels, self.parts + other.parts)


def models(conn: Connection) -> list[str]:
    """Return every model that has rows in the log."""
    found: set[str] = set()
    for table in (predictions, labels, profile_parts):
        found |= set(conn.execute(select(table.c.model).distinct()).scalars())
    return sorted(found)


def oldest(conn: Connection, model: str) -> float | None:
    """Return the time of the oldest logged row of a model, in epoch seconds; None if there is none."""
    first = [
        conn.execute(select(func.min(column)).where(table.c.model == model)).scalar()
        for table, column in ((predictions, predictions.c.at), (profile_parts, profile_parts.c.bucket), (labels, labels.c.received_at))
    ]
    return min((float(at) for at in first if at is not None), default=None)


def count(conn: Connection, model: str, *, since: float, until: float) -> Pruned:
    """Return how much of a model was logged in [``since``, ``until``) and may go."""
    chosen = _predictions(model, since, until)
    told = or_(labels.c.joined_id.in_(select(predictions.c.prediction_id).where(chosen)), _expired(model, since, until))
    asked = ((predictions, chosen), (labels, told), (profile_parts, _parts(model, since, until)))
    return Pruned(*(conn.execute(select(func.count()).select_from(table).where(where)).scalar_one() for table, where in asked))


def row_bytes(conn: Connection, model: str) -> Pruned:
    """Return about how many bytes a prediction, a label and a part of a model take up, from the first of each."""
    each, other, part = predictions.c, labels.c, profile_parts.c
    texts = [each.prediction_id, each.digest, each.answer, each.request_id, each.entity, each.row, each.scores]
    return Pruned(
        2 * _mean(conn, texts, each.model == model) + 100,  # the indexes hold about as much again
        _mean(conn, [other.label_id, other.prediction_id, other.value, other.joined_id], other.model == model) + 80,
        _mean(conn, [part.segment, part.profile_digest, part.counts], part.model == model) + 200,
    )


def _mean(conn: Connection, columns: Sequence[ColumnElement[Any]], where: ColumnElement[bool]) -> int:
    length = sum((func.coalesce(func.length(column), 0) for column in columns[1:]), func.length(columns[0]))
    some = select(length.label("length")).where(where).limit(SAMPLE).subquery()
    return round(conn.execute(select(func.avg(some.c.length))).scalar() or 0)


def bite(conn: Connection, model: str, *, until: float, limit: int) -> Pruned:
    """Delete up to ``limit`` predictions of before ``until`` with their labels, or else what else is that old; return how much went."""
    events.lock(conn)
    chosen = select(predictions.c.prediction_id).where(_predictions(model, None, until)).order_by(predictions.c.at).limit(limit)
    gone = list(conn.execute(chosen).scalars())
    if gone:
        told = conn.execute(delete(labels).where(labels.c.joined_id.in_(gone))).rowcount
        return Pruned(conn.execute(delete(predictions).where(predictions.c.prediction_id.in_(gone))).rowcount, told)
    late = select(labels.c.label_id).where(_expired(model, None, until)).limit(limit)
    told = conn.execute(delete(labels).where(labels.c.label_id.in_(list(conn.execute(late).scalars())))).rowcount
    if told:
        return Pruned(labels=told)
    buckets = select(profile_parts.c.bucket).where(_parts(model, None, until)).order_by(profile_parts.c.bucket).limit(limit)
    last = conn.execute(select(func.max(buckets.subquery().c.bucket))).scalar()
    if last is None:
        return Pruned()
    return Pruned(parts=conn.execute(delete(profile_parts).where(_parts(model, None, until), profile_parts.c.bucket <= last)).rowcount)


def _predictions(model: str, since: float | None, until: float) -> ColumnElement[bool]:
    """Return the condition for predictions of a stretch that no waiting label may be about."""
    each = predictions.c
    waiting = and_(labels.c.model == model, labels.c.joined_id.is_(None), ~labels.c.expired)

    def free(column: ColumnElement[str | None], named: ColumnElement[str | None]) -> ColumnElement[bool]:
        return or_(column.is_(None), column.not_in(select(named).where(waiting, named.is_not(None))))

    return and_(
        each.model == model,
        each.at < until,
        *([each.at >= since] if since is not None else []),
        free(each.prediction_id, labels.c.prediction_id),
        free(each.request_id, labels.c.request_id),
        free(each.entity, labels.c.entity),
    )


def _expired(model: str, since: float | None, until: float) -> ColumnElement[bool]:
    """Return the condition for labels of a stretch that never found their prediction and wait no more."""
    began = [labels.c.received_at >= since] if since is not None else []
    return and_(labels.c.model == model, labels.c.joined_id.is_(None), labels.c.expired, labels.c.received_at < until, *began)


def _parts(model: str, since: float | None, until: float) -> ColumnElement[bool]:
    began = [profile_parts.c.bucket >= since] if since is not None else []
    return and_(profile_parts.c.model == model, profile_parts.c.bucket < until, *began)
