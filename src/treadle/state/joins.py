"""Which prediction a label belongs to.

A label names its prediction by the prediction's id, by the caller's own request id, or by entity and time: then it is the
entity's latest answered prediction at or before the label's event. Whatever order predictions and labels come in, the
joins that result are the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, select, update

from treadle.state import events
from treadle.state.schema import labels, predictions


def resolve_labels(conn: Connection, *, now: float, expire: Mapping[str, float]) -> int:
    """Join every waiting label whose prediction has come, and return how many were joined.

    A label that has waited longer than ``expire`` (seconds by model) waits no more.
    """
    events.lock(conn)
    waiting = and_(labels.c.joined_id.is_(None), ~labels.c.expired)
    joined = conn.execute(update(labels).where(waiting, _MATCH.is_not(None)).values(joined_id=_MATCH))
    for model, seconds in expire.items():
        conn.execute(update(labels).where(waiting, labels.c.model == model, labels.c.received_at < now - seconds).values(expired=True))
    return joined.rowcount


class Named(NamedTuple):
    """The times of predictions that a label can name by their entity, and of those that it can name by their request id."""

    by_entity: list[float]
    by_request: list[float]


def rejoin(conn: Connection, model: str, times: Named) -> None:
    """Move joined labels over to predictions of ``model`` that were just inserted, where they fit better."""
    by_entity, by_request = times
    if by_entity or by_request:
        # Two writers must not each choose among the rows that the other cannot see yet.
        events.lock(conn)
    if by_entity:
        named = and_(labels.c.entity.is_not(None), labels.c.request_id.is_(None), labels.c.prediction_id.is_(None))
        _move(conn, and_(labels.c.model == model, named, labels.c.event_at >= min(by_entity)))
    if by_request:
        asked = and_(predictions.c.model == model, predictions.c.at.between(min(by_request), max(by_request)))
        same = labels.alias("same")
        named = and_(same.c.model == predictions.c.model, same.c.request_id == predictions.c.request_id, same.c.prediction_id.is_(None))
        _move(conn, labels.c.label_id.in_(select(same.c.label_id).join(predictions, named).where(asked)))


def _move(conn: Connection, which: ColumnElement[bool]) -> None:
    """Join ``which`` labels anew; those that were not joined yet go on waiting."""
    conn.execute(update(labels).where(which, labels.c.joined_id != _MATCH).values(joined_id=_MATCH))


def _match() -> ColumnElement[str | None]:
    """Return, for a row of ``labels``, the id of the prediction that it belongs to."""
    each = predictions.alias("each")
    answered = and_(each.c.model == labels.c.model, each.c.status == "ok")

    def newest(condition: ColumnElement[bool]) -> ColumnElement[str | None]:
        found = select(each.c.prediction_id).where(answered, condition).order_by(each.c.at.desc(), each.c.prediction_id.desc())
        return found.limit(1).correlate(labels).scalar_subquery()

    named = select(each.c.prediction_id).where(each.c.prediction_id == labels.c.prediction_id, each.c.model == labels.c.model)
    return case(
        (labels.c.prediction_id.is_not(None), named.correlate(labels).scalar_subquery()),
        (labels.c.request_id.is_not(None), newest(each.c.request_id == labels.c.request_id)),
        else_=newest(and_(each.c.entity == labels.c.entity, each.c.at <= labels.c.event_at)),
    )


_MATCH = _match()
