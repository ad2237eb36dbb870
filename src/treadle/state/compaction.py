"""The parts of the live profile become few: those of a time that is over are merged into one per version, profile and bucket.

A shipped part is a row of its own, for a transaction that only inserts never waits for another one. A merged part has no segment.
That the same bytes are counted once is held by ``segments`` from then on: ``log.add_part`` refuses bytes that lie before the place
up to which their segment was shipped, merged or not. So a row of ``segments`` stays as long as its file may come back from a backup.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from treadle.state import events
from treadle.state.schema import profile_parts, segments

MERGED = ""
"""The segment of a merged part: no segment has an empty name."""

_KEY = ("model", "version", "profile_digest", "bucket")
_WHOLE_KEY = ("segment", "offset", *_KEY)


def merge(conn: Connection, *, until: float, limit: int) -> int:
    """Merge up to ``limit`` shipped parts whose buckets start before ``until``; return how many that were.

    A bucket may be merged again: what was shipped late is added to its merged part.
    """
    events.lock(conn)
    each = profile_parts.c
    shipped = select(profile_parts).where(each.segment > MERGED, each.bucket < until).order_by(each.segment, each.offset).limit(limit)
    found = conn.execute(shipped.with_for_update()).all()
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for part in found:
        groups.setdefault(tuple(getattr(part, name) for name in _KEY), []).append(part)
    for key, parts in groups.items():
        _add(conn, dict(zip(_KEY, key, strict=True)), parts)
    if found:
        gone = delete(profile_parts).where(and_(*(each[name] == bindparam(f"the_{name}") for name in _WHOLE_KEY)))
        conn.execute(gone, [{f"the_{name}": getattr(part, name) for name in _WHOLE_KEY} for part in found])
    return len(found)


def forget_segments(conn: Connection, *, keep: float, now: float, limit: int) -> int:
    """Delete up to ``limit`` rows of segments that were shipped whole more than ``keep`` seconds ago; return how many went.

    Time counts only as long as something is shipped. So a store that was put back from an old backup still knows the segments that
    were put back with it.
    """
    events.lock(conn)
    newest = conn.execute(select(func.max(segments.c.at))).scalar()
    if newest is None:
        return 0
    old = select(segments.c.segment).where(segments.c.sealed, segments.c.at < min(newest, now) - keep).limit(limit)
    gone = list(conn.execute(old).scalars())
    return conn.execute(delete(segments).where(segments.c.segment.in_(gone))).rowcount if gone else 0


def _add(conn: Connection, key: dict[str, Any], parts: Sequence[Any]) -> None:
    """Add ``parts`` to the merged part of their bucket, or make it."""
    each = profile_parts.c
    mine = and_(each.segment == MERGED, each.offset == 0, *(each[name] == value for name, value in key.items()))
    there = conn.execute(select(profile_parts).where(mine)).first()
    added = [*parts, *([there] if there is not None else [])]
    counts = np.sum([np.frombuffer(zlib.decompress(part.counts), dtype="<i8") for part in added], axis=0, dtype="<i8")
    values = {"counts": zlib.compress(counts.tobytes(), 1), "rows": sum(part.rows for part in added)}
    if there is not None:
        conn.execute(update(profile_parts).where(mine).values(values))
    else:
        conn.execute(insert(profile_parts).values(segment=MERGED, offset=0, **key, **values))
