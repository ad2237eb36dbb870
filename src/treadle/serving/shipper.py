"""The one process per host that carries the spool into the store: ``python -m treadle.serving.shipper``.

The records of a bite and the new (segment, offset) are written in one transaction, so that each record arrives exactly
once, whenever this process or the store dies. What cannot be read or stored is kept in ``quarantine/`` beside the
segments, with an event; nothing is thrown away and nothing holds up what follows it.
"""

import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from treadle.bundle.place import BundlePlace
from treadle.errors import StoreUnavailable
from treadle.serving.backlog import Backlog, Pace
from treadle.serving.counting import ProfileCounter
from treadle.serving.records import BatchRecord, ConsentRecord, EventRecord, LabelRecord, PredictionRecord, Written, apart
from treadle.serving.spool import Frames, read_frames, salt_of, segments, writer_gone
from treadle.settings import Workspace
from treadle.state import consents, events, heads, log, verdicts
from treadle.state.consents import Word
from treadle.state.log import Part
from treadle.state.store import Store

BITE = 500
"""Records of one transaction: small, because the shipper shares a core with a worker."""

GATHER = 0.1
"""Seconds in which rows gather where there are few: a transaction costs as much as fifty rows."""

CHUNK = 1 << 18
"""Bytes read at first for a bite."""

NICENESS = 5
"""It lets workers go first, but has a quarter of a core that it must share with a busy one."""
LONGEST_PAUSE = 5.0
"""Seconds between two tries while the store is away."""

ACTOR = "worker"

REFUSALS = (IntegrityError, ProgrammingError, DataError, ValueError)
"""What a record is that the store does not take. Whatever else goes wrong, the store itself is away, and the record waits."""

Clock = Callable[[], float]
Wait = Callable[[float], bool]
"""Waits up to so many seconds; True means: stop."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bite:
    """What one transaction ships at a time ``at``: the records between two offsets of a segment. ``sealed``: nothing follows them.

    ``rows`` is how many records they are when batches are taken apart.
    """

    segment: str
    start: int
    stop: int
    records: Sequence[Written]
    sealed: bool
    at: float
    rows: int


class Shipper:
    """Empties the spool into the store. There must be one per spool; ``run`` sees to that."""

    def __init__(
        self,
        store: Store,
        spool: Path,
        bundles: BundlePlace,
        *,
        bucket_seconds: float,
        clock: Clock = time.time,
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._spool = spool
        self._counter = ProfileCounter(bundles, bucket_seconds=bucket_seconds)
        self._clock = clock
        self._pace = pace or Pace(Backlog())
        self._offsets: dict[str, int] = {}
        self._unreadable: set[str] = set()

    def step(self) -> int:
        """Ship one bite of every segment; return how many records that were. A segment that cannot be read waits, the others do not.

        Raises:
            StoreUnavailable: the store is away; what was not shipped stays in the spool.
        """
        self._pace.begin()
        try:
            shipped = sum(self._ship_if_readable(path) for path in segments(self._spool))
        except StoreUnavailable:
            # Whether the last commit has come through, and whether it is still the same store that comes back, is for the store to say.
            self._offsets.clear()
            self._pace.stop()
            raise
        self._pace.end(sum(self._waiting(path) for path in segments(self._spool)))
        return shipped

    def _waiting(self, path: Path) -> int:
        try:
            return path.stat().st_size - self._offsets.get(path.stem, 0)
        except FileNotFoundError:
            return 0

    def _ship_if_readable(self, path: Path) -> int:
        try:
            shipped = self._ship(path)
        except OSError as error:
            if path.name not in self._unreadable:
                logger.warning("%s cannot be read or kept now; it waits, and is tried again: %s", path, error)
            self._unreadable.add(path.name)
            return 0
        self._unreadable.discard(path.name)
        return shipped

    def _ship(self, path: Path) -> int:
        bite = self._next_bite(path)
        if bite is None:
            return 0
        try:
            self._commit(bite, _insert)
        except REFUSALS as error:
            logger.warning("The store refuses something in %s; it is shipped record by record. %s", path.name, error)
            self._keep(path)
            self._commit(bite, _insert_one_by_one)
        self._offsets[bite.segment] = bite.stop
        self._pace.add(bite.stop - bite.start)
        if bite.sealed:
            # The segment is the only other copy: what the store has of it must survive the machine first.
            self._store.flush()
            path.unlink()
            del self._offsets[bite.segment]
        return bite.rows

    def _next_bite(self, path: Path) -> Bite | None:
        """Return the next records of a segment, or None while there are none; keep a segment that is damaged."""
        start = self._offset(path.stem)
        with path.open("rb") as file:
            # Asked before reading: what is written after a "no" is read the next time.
            gone = writer_gone(file.fileno())
            frames, tail = _read(file.fileno(), start, salt_of(path), gone=gone)
        sealed = gone and tail is not None
        if not frames.consumed and not sealed:
            return None
        troubles = _troubles(frames, tail or 0) if sealed else _troubles(frames, 0)
        if troubles:
            self._keep(path)
        now = self._clock()
        told = [EventRecord(kind, None, {"segment": path.stem, "start": start, **data}, now) for kind, data in troubles]
        return Bite(path.stem, start, start + frames.consumed, [*frames.records, *told], sealed, now, frames.rows + len(told))

    def _offset(self, segment: str) -> int:
        if segment not in self._offsets:
            with self._store.read() as conn:
                self._offsets[segment] = log.offset(conn, segment)
        return self._offsets[segment]

    def _keep(self, path: Path) -> None:
        """Give the segment a second name in ``quarantine/``, under which it stays when the shipper removes the first."""
        folder = path.parent / "quarantine"
        folder.mkdir(exist_ok=True)
        if not (folder / path.name).exists():
            (folder / path.name).hardlink_to(path)

    def _commit(self, bite: Bite, insert: "Insert") -> None:
        with self._store.write() as conn:
            taken = insert(conn, bite)
            for part in self._counter.parts(taken):
                if isinstance(part, Part):
                    log.add_part(conn, bite.segment, bite.start, part)
                else:
                    _append_event(conn, part)
            log.advance_segment(conn, bite.segment, bite.stop, start=bite.start, sealed=bite.sealed, at=bite.at)


Predictions = Sequence[PredictionRecord | BatchRecord]
Insert = Callable[[Connection, Bite], Predictions]
"""Puts the records of a bite into the store and returns the predictions that it took."""


def _insert(conn: Connection, bite: Bite) -> Predictions:
    rows: list[PredictionRecord] = []
    batches: list[BatchRecord] = []
    labels: list[LabelRecord] = []
    for record in bite.records:
        if type(record) is PredictionRecord:
            rows.append(record)
        elif type(record) is BatchRecord:
            batches.append(record)
        elif type(record) is LabelRecord:
            labels.append(record)
        elif isinstance(record, EventRecord):
            _append_event(conn, record)
        elif isinstance(record, ConsentRecord):
            _give(conn, record)
    if rows:
        log.insert_prediction_columns(conn, {name: list(map(field, rows)) for name, field in _FIELDS.items()})
    for batch in batches:
        log.insert_prediction_columns(conn, batch.columns())
    log.insert_labels(conn, list(map(msgspec.structs.asdict, labels)))
    return [*rows, *batches]


_FIELDS = {name: attrgetter(name) for name in log.PREDICTION_COLUMNS}


def _insert_one_by_one(conn: Connection, bite: Bite) -> Predictions:
    """Insert what the store takes; of the rest only an event tells, and the segment is kept."""
    taken: list[PredictionRecord | BatchRecord] = []
    for number, record in enumerate(apart(bite.records)):
        try:
            with conn.begin_nested():
                taken += _insert(conn, replace(bite, records=[record]))
        except REFUSALS as error:
            told = {"segment": bite.segment, "start": bite.start, "number": number, "error": type(error).__name__}
            _append_event(conn, EventRecord("log.refused", None, told, bite.at))
    return taken


def _give(conn: Connection, record: ConsentRecord) -> None:
    """Put what a person has said beside the verdict that it is about; an event alone where there is none."""
    verdict = (
        verdicts.get(conn, record.verdict)
        if record.verdict is not None
        else verdicts.latest(conn, record.model, record.version, "gate", until=record.at)
    )
    if verdict is None:
        told = {key: getattr(record, key) for key in ("version", "decision", "reason", "actor", "source")}
        _append_event(conn, EventRecord("consent.unplaced", record.model, told, record.at))
        return
    word = Word(record.decision, record.reason, record.actor, record.source, record.at, record.consent_id)
    consents.give(conn, word.on(verdict))


def _append_event(conn: Connection, record: EventRecord) -> None:
    events.append(conn, record.kind, at=record.at, model=record.model, actor=record.actor or ACTOR, data=record.data)


def _read(fd: int, start: int, salt: int, *, gone: bool) -> tuple[Frames, int | None]:
    """Read one bite at ``start``. With it comes how many torn bytes follow it, where nothing else does."""
    size = CHUNK
    while True:
        data = os.pread(fd, size, start)
        at_end = len(data) < size
        frames = read_frames(data, salt, final=gone and at_end, limit=BITE)
        if frames.consumed or at_end:
            rest = len(data) - frames.consumed
            return frames, rest if at_end and (frames.torn or not rest) else None
        # One frame is larger than what was read.
        size *= 4


def _troubles(frames: Frames, tail: int) -> list[tuple[str, dict[str, Any]]]:
    """Name what could not be read; offsets are relative to the start of the bite."""
    stretches = [*frames.damaged, *([(frames.consumed, frames.consumed + tail)] if tail else [])]
    damaged: list[tuple[str, dict[str, Any]]] = [("log.damaged", {"from": begin, "to": end}) for begin, end in stretches]
    return [*damaged, *([("log.unknown", {"records": len(frames.unknown)})] if frames.unknown else [])]


def run(workspace: Workspace, wait: Wait) -> None:
    """Ship until ``wait`` says to stop. While another shipper has the spool, or the store is away, try again."""
    workspace.spool_dir.mkdir(parents=True, exist_ok=True)
    with (workspace.spool_dir / "shipper.lock").open("wb") as lock:
        while not _locked(lock.fileno()):
            if wait(workspace.settings.poll_seconds):
                return
        _ship_until_told(workspace, wait)


def _ship_until_told(workspace: Workspace, wait: Wait) -> None:
    poll = workspace.settings.poll_seconds
    store, pace = Store(workspace.store_url), Pace(Backlog(workspace.backlog_file))
    shipper = Shipper(store, workspace.spool_dir, BundlePlace.of(workspace), bucket_seconds=workspace.settings.profile_seconds, pace=pace)
    ready = False
    pause = 0.0
    while not wait(pause):
        try:
            if not ready:
                store.create()
                heads.begin(store, workspace.home, at=time.time())
                ready = True
            shipped = shipper.step()
            pause = 0.0 if shipped >= BITE else min(poll, GATHER) if shipped else poll
        except StoreUnavailable as error:
            # The connections go too: what comes back may be another file under the same name, put there from a backup.
            store.close()
            ready = False
            pause = min(max(2 * pause, poll), LONGEST_PAUSE)
            logger.warning("%s Nothing is lost; the next try is in %.1f s.", error.what, pause)
    store.close()
    pace.stop()


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main() -> None:
    """Run as a process until SIGTERM or SIGINT; what is being shipped then is finished."""
    ends = (signal.SIGTERM, signal.SIGINT)
    # Blocked and asked for between two bites, so that a signal never falls into the middle of one.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    os.nice(NICENESS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s shipper %(levelname)s %(message)s")
    run(Workspace.find(), lambda seconds: signal.sigtimedwait(ends, seconds) is not None)


if __name__ == "__main__":
    main()
