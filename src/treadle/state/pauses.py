"""When the loop of a model was stopped by a person, and when it went on. Insert-only; the highest number of a model counts."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, RowMapping, insert, select

from treadle.state import events
from treadle.state.schema import pauses


@dataclass(frozen=True, slots=True)
class Pause:
    """One turning of the switch: ``paused`` says which way, ``number`` counts from 1, ``at`` is in epoch seconds."""

    model: str
    number: int
    paused: bool
    reason: str
    actor: str
    at: float


def turn(conn: Connection, model: str, *, paused: bool, reason: str, actor: str, at: float) -> Pause | None:
    """Pause the loop of ``model`` or let it go on. What it does already is not done again: the row that says so is returned.

    A loop that goes on and was never paused has no row: None.
    """
    events.lock(conn)
    last = _last(conn, model)
    if (last is not None and last.paused) == paused:
        return last
    made = Pause(model, last.number + 1 if last else 1, paused, reason, actor, at)
    conn.execute(insert(pauses).values(**asdict(made)))
    events.append(conn, "loop.paused" if paused else "loop.resumed", at=at, model=model, actor=actor, data={"reason": reason})
    return made


def current(conn: Connection, model: str) -> Pause | None:
    """Return the pause that holds for ``model``; None while its loop may go on."""
    last = _last(conn, model)
    return last if last is not None and last.paused else None


def held(conn: Connection, model: str, *, since: float, until: float) -> float:
    """Return for how many seconds between two moments the loop of ``model`` was paused."""
    rows = conn.execute(select(pauses).where(pauses.c.model == model).order_by(pauses.c.number)).mappings()
    total, begun = 0.0, None
    for row in map(_read, rows):
        if row.paused:
            begun = row.at
        elif begun is not None:
            total, begun = total + _shared(begun, row.at, since, until), None
    return total if begun is None else total + _shared(begun, until, since, until)


def _shared(begin: float, end: float, since: float, until: float) -> float:
    return max(min(end, until) - max(begin, since), 0.0)


def _last(conn: Connection, model: str) -> Pause | None:
    newest = select(pauses).where(pauses.c.model == model).order_by(pauses.c.number.desc()).limit(1)
    row = conn.execute(newest).mappings().first()
    return _read(row) if row else None


def _read(row: RowMapping) -> Pause:
    return Pause(**row)
