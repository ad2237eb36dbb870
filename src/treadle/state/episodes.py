"""When something was wrong with a version: at most one open episode per model, version and signal."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, insert, select, update

from treadle.spec import canonical_json
from treadle.state import events
from treadle.state.schema import episodes

Signal = Literal["drift", "prediction", "quality"]


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm from its opening to its end; ``onset`` is when the trouble is thought to have begun (epoch seconds)."""

    id: str
    model: str
    version: int
    signal: Signal
    opened_at: float
    onset: float
    closed_at: float | None
    outcome: str | None
    evidence: dict[str, Any]


def open_episode(  # noqa: PLR0913 - the columns of the row, all by name
    conn: Connection, model: str, *, version: int, signal: Signal, onset: float, evidence: Mapping[str, Any], at: float
) -> Episode:
    """Open an episode of ``signal`` for ``version``; if one is open already, return that one unchanged."""
    events.lock(conn)
    same = (episodes.c.model == model, episodes.c.version == version, episodes.c.signal == signal)
    there = conn.execute(select(episodes).where(*same, episodes.c.closed_at.is_(None))).mappings().first()
    if there is not None:
        return _read(there)
    episode = Episode(str(uuid.uuid4()), model, version, signal, float(at), float(onset), None, None, dict(evidence))
    conn.execute(insert(episodes).values(**asdict(episode) | {"evidence": canonical_json(episode.evidence).decode()}))
    told = {"episode": episode.id, "version": version, "signal": signal, "onset": onset, "evidence": episode.evidence}
    events.append(conn, "episode.opened", at=at, model=model, data=told)
    return episode


def close_episode(conn: Connection, episode: Episode, *, outcome: str, at: float) -> Episode:
    """End ``episode`` and return it as it is then; one that has ended already stays as it is and is told of once."""
    events.lock(conn)
    ended: dict[str, Any] = {"closed_at": float(at), "outcome": outcome}
    still_open = (episodes.c.id == episode.id, episodes.c.closed_at.is_(None))
    if conn.execute(update(episodes).where(*still_open).values(**ended)).rowcount:
        told = {"episode": episode.id, "version": episode.version, "signal": episode.signal, "outcome": outcome}
        events.append(conn, "episode.closed", at=at, model=episode.model, data=told)
        return replace(episode, **ended)
    return _read(conn.execute(select(episodes).where(episodes.c.id == episode.id)).mappings().one())


def close_all(conn: Connection, model: str, *, version: int, outcome: str, at: float) -> list[Episode]:
    """End every open episode of ``version`` and return them."""
    events.lock(conn)
    return [close_episode(conn, one, outcome=outcome, at=at) for one in open_ones(conn, model) if one.version == version]


def open_ones(conn: Connection, model: str) -> list[Episode]:
    """Return the open episodes of ``model``, oldest first."""
    still_open = select(episodes).where(episodes.c.model == model, episodes.c.closed_at.is_(None))
    return [_read(row) for row in conn.execute(still_open.order_by(episodes.c.opened_at, episodes.c.id)).mappings()]


def _read(row: RowMapping) -> Episode:
    return Episode(**{**row, "evidence": json.loads(row["evidence"])})
