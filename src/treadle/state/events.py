"""What happened, for people and auditors: an insert-only chain in which each event's hash covers all before it.

An event is written in the same transaction as the change that it tells of; no decision reads it. A *head* is the number and
hash of the last event, signed and kept outside the database, so that a chain that was rewritten as a whole is found as well.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, text

from treadle.errors import ChainBroken, HeadsInvalid
from treadle.spec import canonical_json
from treadle.state.schema import events

GENESIS = "0" * 64
"""The hash before the first event."""

WRITE_LOCK = 0x7472_6502
"""Postgres advisory lock that orders the writers of state, as SQLite's write lock does."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: ``seq`` counts from 1 without gaps, ``at`` is in epoch seconds."""

    seq: int
    at: float
    kind: str
    model: str | None
    actor: str
    data: dict[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at one moment, with an HMAC-SHA256 over it (hex)."""

    seq: int
    hash: str
    at: float
    signature: str


def lock(conn: Connection) -> None:
    """Wait until no other transaction changes the state; the lock is held until this transaction ends.

    Every function that changes state takes it before anything else, so that all take their locks in one order. On SQLite the
    transaction holds the write lock already.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})


def append(conn: Connection, kind: str, *, at: float, model: str | None = None, actor: str = "treadle", data: Mapping[str, Any]) -> Event:
    """Add an event in the transaction of ``conn`` and return it. ``data`` must be plain JSON without NaN."""
    lock(conn)
    last = _last(conn)
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    at, content = float(at), canonical_json(data).decode()
    digest = _hash(previous, (seq, at, kind, model, actor, content))
    conn.execute(insert(events).values(seq=seq, at=at, kind=kind, model=model, actor=actor, data=content, hash=digest))
    return Event(seq, at, kind, model, actor, json.loads(content), digest)


def after(conn: Connection, seq: int, limit: int = 1000) -> list[Event]:
    """Return up to ``limit`` events that follow number ``seq``, oldest first."""
    rows = conn.execute(select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit))
    return [_read(row) for row in rows]


def last_seq(conn: Connection) -> int:
    """Return the number of the last event; 0 while nothing has happened."""
    last = _last(conn)
    return int(last.seq) if last else 0


def of_kind(event: Event, kind: str | None) -> bool:
    """Tell whether an event is of a kind, or of one that begins with it and a dot; None: of whatever kind."""
    return kind is None or event.kind == kind or event.kind.startswith(f"{kind}.")


def newest(
    conn: Connection, limit: int | None, *, model: str | None = None, since: float | None = None, kind: str | None = None
) -> list[Event]:
    """Return the last ``limit`` events, or all, oldest first: of a model, from a moment on, of a kind ("turn.opened", or "turn")."""
    fitting = [events.c.model == model] if model is not None else []
    fitting += [events.c.at >= since] if since is not None else []
    fitting += [or_(events.c.kind == kind, events.c.kind.startswith(f"{kind}.", autoescape=True))] if kind is not None else []
    rows = conn.execute(select(events).where(*fitting).order_by(events.c.seq.desc()).limit(limit))
    return [_read(row) for row in rows][::-1]


def verify(conn: Connection, heads: Sequence[Head] = ()) -> int:
    """Check every event against the one before it and against the signed ``heads``; return how many events there are.

    Raises:
        ChainBroken: an event was edited or deleted, or the chain does not pass through a head; names the first bad number.
    """
    expected = {head.seq: head.hash for head in heads}
    seq, previous = 0, GENESIS
    with conn.execute(select(events).order_by(events.c.seq), execution_options={"yield_per": 1000}) as rows:
        for row in rows:
            seq += 1
            if row.seq != seq:
                raise ChainBroken(seq, "it is missing.")
            if not _follows(row, previous):
                raise ChainBroken(seq, "its hash does not follow from its content and the event before it.")
            if row.hash != expected.get(seq, row.hash):
                raise ChainBroken(seq, "it is not the event that was signed: the chain up to here has been written anew.")
            previous = row.hash
    if heads and max(expected) > seq:
        raise ChainBroken(seq + 1, f"it is missing: the chain was signed up to number {max(expected)}.")
    return seq


def sign_head(conn: Connection, key: bytes, at: float) -> Head | None:
    """Return the signed end of the chain; None while nothing has happened."""
    last = _last(conn)
    return Head(last.seq, last.hash, at, _signature(key, last.seq, last.hash, at)) if last else None


def append_head(path: Path, head: Head) -> None:
    """Add ``head`` as one line of JSON to the file at ``path`` and make it durable. The file must lie outside the database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")  # a line that was torn by a kill or a full disk must not spoil this one
        file.write(canonical_json(asdict(head)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_heads(path: Path, key: bytes) -> list[Head]:
    """Return the heads in the file at ``path``, oldest first; none if there is no file.

    A torn line, the beginning of a head that was never finished, proves nothing and is passed over.

    Raises:
        HeadsInvalid: a line is not a head, was not signed with ``key``, or goes back behind the line before it.
    """
    heads: list[Head] = []
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if _torn(line):
            continue
        try:
            head = Head(**json.loads(line))
            expected = _signature(key, head.seq, head.hash, head.at)
            given = str(head.signature).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise HeadsInvalid(path, number, "it is not a signed head.") from error
        if not hmac.compare_digest(given, expected.encode()):
            raise HeadsInvalid(path, number, "its signature does not belong to its content and this key.")
        if heads and head.seq < heads[-1].seq:
            raise HeadsInvalid(path, number, f"it goes back from event {heads[-1].seq} to {head.seq}.")
        heads.append(head)
    return heads


def _torn(line: bytes) -> bool:
    """Tell whether a line is the beginning of a head and no more: it opens as one, and never closes."""
    start = b'{"at":'
    return (line.startswith(start) or start.startswith(line)) and not line.endswith(b"}")


def _read(row: Row[Any]) -> Event:
    return Event(row.seq, row.at, row.kind, row.model, row.actor, json.loads(row.data), row.hash)


def _follows(row: Row[Any], previous: str) -> bool:
    try:
        return bool(row.hash == _hash(previous, (row.seq, row.at, row.kind, row.model, row.actor, row.data)))
    except (ValueError, TypeError):  # Nothing that JSON cannot say was ever recorded.
        return False


def _last(conn: Connection) -> Row[Any, Any] | None:
    return conn.execute(select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)).first()


def _hash(previous: str, content: tuple[int, float, str, str | None, str, str]) -> str:
    return hashlib.sha256(canonical_json([previous, *content])).hexdigest()


def _signature(key: bytes, seq: int, digest: str, at: float) -> str:
    return hmac.new(key, canonical_json([seq, digest, at]), hashlib.sha256).hexdigest()
