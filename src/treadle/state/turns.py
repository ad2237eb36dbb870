"""Where a turn of the loop stands: one row per turn, of which at most one is open per model."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from treadle.errors import TurnAlreadyOpen, TurnClosed
from treadle.spec import canonical_json
from treadle.state import events
from treadle.state.schema import turns


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: ``step`` is where it stands, ``data`` what its steps have found so far; times are epoch seconds."""

    id: str
    model: str
    cause: str
    episode: str | None
    step: str
    data: dict[str, Any]
    opened_at: float
    updated_at: float
    closed_at: float | None = None
    outcome: str | None = None
    reason: str | None = None


def open_turn(  # noqa: PLR0913 - the columns of the row, all by name
    conn: Connection, model: str, *, cause: str, episode: str | None, step: str, at: float, data: Mapping[str, Any] | None = None
) -> Turn:
    """Open a turn of ``model`` at its first ``step``, for the reason ``cause`` and for an ``episode`` if there is one.

    Raises:
        TurnAlreadyOpen: a turn of this model is open; the error names it.
    """
    events.lock(conn)
    there = current(conn, model)
    if there is not None:
        raise TurnAlreadyOpen(model, there.id, there.step)
    turn = Turn(str(uuid.uuid4()), model, cause, episode, step, dict(data or {}), float(at), float(at))
    conn.execute(insert(turns).values(**asdict(turn) | {"data": _json(turn.data)}))
    told = {"turn": turn.id, "cause": cause, "episode": episode, "step": step}
    events.append(conn, "turn.opened", at=at, model=model, data=told)
    return turn


def advance(conn: Connection, turn: Turn, *, step: str, at: float, data: Mapping[str, Any]) -> Turn:
    """Put ``turn`` at ``step`` with what was found on the way, which is laid over its ``data``; return it as it is then.

    Raises:
        TurnClosed: the turn has ended.
    """
    after = replace(turn, step=step, updated_at=float(at), data={**turn.data, **data})
    _change(conn, turn, {"step": step, "updated_at": at, "data": _json(after.data)})
    events.append(conn, "turn.advanced", at=at, model=turn.model, data={"turn": turn.id, "step": step, "data": dict(data)})
    return after


def close(conn: Connection, turn: Turn, *, outcome: str, reason: str, at: float) -> Turn:
    """End ``turn`` with an outcome and its reason in a sentence; return it as it is then.

    Raises:
        TurnClosed: the turn has ended before.
    """
    ended: dict[str, Any] = {"updated_at": float(at), "closed_at": float(at), "outcome": outcome, "reason": reason}
    _change(conn, turn, ended)
    events.append(conn, "turn.closed", at=at, model=turn.model, data={"turn": turn.id, "outcome": outcome, "reason": reason})
    return replace(turn, **ended)


def current(conn: Connection, model: str) -> Turn | None:
    """Return the open turn of ``model``; None if there is none."""
    row = conn.execute(select(turns).where(turns.c.model == model, turns.c.closed_at.is_(None))).mappings().first()
    return _read(row) if row else None


def recent(conn: Connection, model: str, limit: int = 20) -> list[Turn]:
    """Return the last ``limit`` turns of ``model``, newest first, the open one among them."""
    newest = select(turns).where(turns.c.model == model).order_by(turns.c.opened_at.desc(), turns.c.id.desc()).limit(limit)
    return [_read(row) for row in conn.execute(newest).mappings()]


def models(conn: Connection) -> dict[str, str]:
    """Return the model of every turn by the turn's id."""
    return {row.id: row.model for row in conn.execute(select(turns.c.id, turns.c.model))}


def _change(conn: Connection, turn: Turn, values: Mapping[str, Any]) -> None:
    events.lock(conn)
    still_open = (turns.c.id == turn.id, turns.c.closed_at.is_(None))
    if not conn.execute(update(turns).where(*still_open).values(**values)).rowcount:
        raise TurnClosed(turn.id)


def _json(data: Mapping[str, Any]) -> str:
    return canonical_json(data).decode()


def _read(row: RowMapping) -> Turn:
    return Turn(**{**row, "data": json.loads(row["data"])})
