"""The spool on its way into a backup: what was answered and is not in the store yet.

It is copied before the store is. So each record that was in it by then is in the copied segments, in the copied store, or in both;
and the copied store knows how far each segment was shipped, so that a shipper takes over from there and brings each exactly once.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, select

from treadle.recovery.files import Carrier
from treadle.recovery.manifest import Waiting
from treadle.serving.records import LabelRecord, PredictionRecord, apart
from treadle.serving.spool import read_frames, salt_of, segments, writer_gone
from treadle.state import log
from treadle.state.schema import segments as shipped

ROOM = "spool"


def copy(spool: Path, carrier: Carrier) -> list[Path]:
    """Copy the segments that are there, and what is in quarantine; return where the copies of the segments are."""
    made = []
    for path in segments(spool):
        with suppress(FileNotFoundError):  # shipped meanwhile, whole: the store has it
            content = _content(path)
            if content:
                carrier.write(f"{ROOM}/{path.name}", content, mtime=path.stat().st_mtime_ns)
                made.append(carrier.folder / ROOM / path.name)
    carrier.tree(spool / "quarantine", f"{ROOM}/quarantine")
    return made


def drop_shipped(spool: Path, carrier: Carrier, copies: list[Path]) -> list[Path]:
    """Take out the copies of segments that have gone meanwhile: they were shipped whole. Return the others."""
    there = {path.name for path in segments(spool)}
    for path in copies:
        if path.name not in there:
            carrier.forget(f"{ROOM}/{path.name}")
    return [path for path in copies if path.name in there]


def waiting(conn: Connection, copies: list[Path]) -> Waiting:
    """Count the records of the copied segments that the copied store does not have."""
    predictions = labels = others = 0
    for path in copies:
        rest = path.read_bytes()[log.offset(conn, path.stem) :]
        for record in apart(read_frames(rest, salt_of(path), final=True).records):
            predictions += isinstance(record, PredictionRecord)
            labels += isinstance(record, LabelRecord)
            others += not isinstance(record, PredictionRecord | LabelRecord)
    return Waiting(predictions, labels, others)


def elsewhere(conn: Connection, known: Mapping[str, object] | set[str]) -> int:
    """Return how many segments the store has begun to take that are not ``known``: they lie in the spools of other hosts."""
    begun = conn.execute(select(shipped.c.segment).where(~shipped.c.sealed)).scalars()
    return sum(segment not in known for segment in begun)


def _content(path: Path) -> bytes:
    """Return the bytes of a segment. What a living writer is about to append is left out: its answer has not gone out yet."""
    with path.open("rb") as file:
        gone = writer_gone(file.fileno())
        content = file.read()
    return content if gone else content[: read_frames(content, salt_of(path), final=True).consumed]
