"""A version in the shadow: the rows of the log are answered again by it, in a process of its own, beside what callers were told.

Workers do nothing for it and know nothing of it, and it changes no deployment. Memory is bounded: rows come in pages, and what is kept of
them are sums, the newest timings, and what the newest labelled rows say.
"""

import math
import statistics
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.bundle.place import Bundle, BundlePlace
from treadle.engine.answer import label_index
from treadle.engine.session import Engine
from treadle.engine.translate import allowed, translated
from treadle.errors import InferenceFailed, SnapshotCorrupt, SnapshotNotFound, StoreUnavailable, TreadleError
from treadle.monitoring.canary import disagreements
from treadle.monitoring.matured import Window, matured_under
from treadle.projects import Project
from treadle.registry import origin
from treadle.registry.tracking import Registered
from treadle.retraining.rows import unseen
from treadle.settings import Workspace
from treadle.spec.evolution import Translation, broken, translation
from treadle.state import events, log
from treadle.state.log import Answered
from treadle.state.store import Store
from treadle.training.metrics import measure

PAGE = 1000
"""Rows that are read, and answered, at once."""

TIMED = 10
"""Rows of each page that both versions answer one by one, in turn, so that their speed can be compared."""

TIMINGS = 2000
"""How many timings of each side are kept, the newest."""

LABELLED = 20_000
"""Newest labelled rows on which the quality is measured."""

SETTLE_SECONDS = 5.0
"""While following, how long a row is left to lie: several workers and hosts bring theirs in no common order."""

Floats = NDArray[np.float32]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Quality:
    """What both sides measure on the same labelled rows, by the metric of the policy; None where it is not defined on them."""

    metric: str
    rows: int
    shadow: float | None
    answered: float | None


@dataclass(frozen=True)
class ShadowReport:
    """How a version answers what others have answered, predicted in (``since``, ``until``].

    Of ``rows`` rows the version ``failed`` on some, and gave another answer than the caller got on ``disagreed``. ``difference`` and
    ``largest`` are the mean and the largest distance between the scores of a row. ``latency`` is the median time of one row by the shadow
    and by the versions that answered, both here and now, in seconds; ``left_out`` are sentences about rows that it cannot be asked.
    """

    model: str
    version: int
    digest: str
    since: float
    until: float
    share: float
    rows: int
    failed: int
    disagreed: int
    difference: float | None
    largest: float | None
    latency: tuple[float, float] | None
    quality: Quality | None
    left_out: tuple[str, ...]

    @property
    def agreement(self) -> float | None:
        """The share of the rows that it answered on which it says the same; None without such a row."""
        answered = self.rows - self.failed
        return 1 - self.disagreed / answered if answered else None


@dataclass
class _Sums:
    rows: int = 0
    failed: int = 0
    disagreed: int = 0
    difference: float = 0.0
    largest: float = 0.0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Other:
    """A version that answered: how its rows, ``width`` numbers each, are read under the shadow's interface."""

    how: Translation | None
    width: int = 0
    engine: Engine | None = None
    trouble: str = ""


class Shadow:
    """Replays the log of one model against one version, page by page.

    Args:
        workspace: where bundles and snapshots lie.
        store: has the log.
        project: names the metric and when rows are mature.
        found: the version in the shadow.
        since: after which prediction time rows count, in epoch seconds.
        share: how many of the rows are answered, 0 to 1; the same ones each time.
        clock: gives the time in epoch seconds.

    Raises:
        BundleNotFound, BundleCorrupt, GraphInvalid: the version cannot be loaded.
    """

    def __init__(  # noqa: PLR0913 - what one run can be told, all by name
        self,
        workspace: Workspace,
        store: Store,
        project: Project,
        found: Registered,
        *,
        since: float,
        share: float = 1.0,
        clock: Clock = time.time,
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._project = project
        self._found = found
        self._bundles = BundlePlace.of(workspace)
        self._bundle: Bundle = self._bundles.get(found.digest)
        self._engine = Engine(self._bundle)
        self._share = share
        self._clock = clock
        self._since = self._until = since
        self._last = (math.nextafter(since, math.inf), "")
        self._others: dict[str, _Other] = {}
        self._sums = _Sums()
        self._timings: tuple[deque[float], deque[float]] = deque(maxlen=TIMINGS), deque(maxlen=TIMINGS)

    @property
    def rows(self) -> int:
        """How many rows it has been asked so far."""
        return self._sums.rows

    def step(self, *, until: float) -> int:
        """Read one page of rows predicted up to ``until``, and answer its share; return how many rows were read.

        Raises:
            StoreUnavailable: the log cannot be read; the next call goes on at the same row.
        """
        with self._store.read() as conn:
            page = log.answered_after(conn, self._project.name, self._last, until=until, but=self._found.digest, limit=PAGE)
        for digest in dict.fromkeys(row.digest for row in page):
            rows = [row for row in page if row.digest == digest and _drawn(row.prediction_id, self._share)]
            if rows:
                self._compare(self._other(digest, rows[0].version), rows)
        if page:
            self._last = page[-1].at, page[-1].prediction_id
        self._until = page[-1].at if len(page) == PAGE else max(until, self._until)
        return len(page)

    def run(self) -> None:
        """Answer what is in the log now. Raises as ``step``."""
        until = self._clock()
        while self.step(until=until):
            pass

    def follow(self, wait: Callable[[float], bool], *, every: int, tell: Callable[[ShadowReport], None], poll: float = 1.0) -> None:
        """Answer what is in the log and what comes, until ``wait`` says to stop; tell after each ``every`` rows.

        While the store is away, it waits for it.
        """
        told, pause = 0, 0.0
        while not wait(pause):
            try:
                pause = 0.0 if self.step(until=self._clock() - SETTLE_SECONDS) == PAGE else poll
                if self.rows - told >= every:
                    tell(self.report())
                    told = self.rows
            except StoreUnavailable:
                pause = 5 * poll

    def report(self) -> ShadowReport:
        """Return what has been found so far. Labels that have come since a row was answered count too."""
        sums, answered = self._sums, self._sums.rows - self._sums.failed
        quality, notes = self._quality()
        counted = tuple(f"{rows} rows were left out: {reason}" for reason, rows in sums.left_out.items())
        return ShadowReport(
            model=self._project.name,
            version=self._found.version,
            digest=self._found.digest,
            since=self._since,
            until=self._until,
            share=self._share,
            rows=sums.rows,
            failed=sums.failed,
            disagreed=sums.disagreed,
            difference=sums.difference / answered if answered else None,
            largest=sums.largest if answered else None,
            latency=(statistics.median(self._timings[0]), statistics.median(self._timings[1])) if self._timings[0] else None,
            quality=quality,
            left_out=(*counted, *notes),
        )

    def _other(self, digest: str, version: int) -> _Other:
        if digest not in self._others:
            self._others[digest] = self._read(digest, version)
        return self._others[digest]

    def _read(self, digest: str, version: int) -> _Other:
        mine = self._bundle.interface
        try:
            sealed = self._bundles.interface(digest)
        except TreadleError as error:
            return _Other(None, trouble=f"what version {version} has logged is not known. {error.sentence}")
        how = translation(sealed, mine)
        if how is None:
            said = " ".join(change.sentence for change in broken(sealed, mine))
            return _Other(None, trouble=f"version {self._found.version} cannot be asked what version {version} was. {said}")
        try:
            engine: Engine | None = Engine(self._bundles.get(digest))
        except TreadleError:
            engine = None  # What it has answered stands in the log; only its speed cannot be measured.
        return _Other(how, len(sealed.features), engine)

    def _compare(self, other: _Other, rows: Sequence[Answered]) -> None:
        if other.how is None:
            self._sums.left_out[other.trouble] += len(rows)
            return
        width = self._bundle.interface.score_count
        theirs = np.frombuffer(b"".join(row.row for row in rows), dtype="<f4").reshape(len(rows), other.width)
        scores = np.frombuffer(b"".join(row.scores for row in rows), dtype="<f4").reshape(len(rows), width)
        matrix = translated(other.how, theirs)
        if not other.how.identity:
            fits = allowed(self._bundle.interface, matrix)
            self._sums.left_out.update({f"they hold values that version {self._found.version} does not allow.": int((~fits).sum())})
            theirs, scores, matrix = theirs[fits], scores[fits], matrix[fits]
            self._sums.left_out += Counter()  # drops what is 0
        self._sums.rows += len(matrix)
        self._time(other, matrix, theirs)
        self._add(*self._answers(matrix, scores))

    def _answers(self, matrix: Floats, scores: Floats) -> tuple[Floats, Floats]:
        """Return the scores of both sides for the rows on which the shadow does not fail."""
        try:
            return self._engine.run(matrix), scores
        except InferenceFailed:
            kept, mine = [], []
            for place in range(len(matrix)):
                try:
                    mine.append(self._engine.run(matrix[place : place + 1]))
                    kept.append(place)
                except InferenceFailed:
                    self._sums.failed += 1
            return np.concatenate(mine) if mine else scores[:0], scores[kept]

    def _add(self, mine: Floats, theirs: Floats) -> None:
        if not len(mine):
            return
        apart = np.abs(mine.astype(np.float64) - theirs).max(axis=1)
        self._sums.disagreed += disagreements(theirs, mine)
        self._sums.difference += float(apart.sum())
        self._sums.largest = max(self._sums.largest, float(apart.max()))

    def _time(self, other: _Other, mine: Floats, theirs: Floats) -> None:
        if other.engine is None:
            return
        for place in range(min(TIMED, len(mine))):
            try:
                times = tuple(_seconds(engine, rows[place : place + 1]) for engine, rows in ((self._engine, mine), (other.engine, theirs)))
            except InferenceFailed:
                continue  # counted where its answer is compared
            for kept, seconds in zip(self._timings, times, strict=True):
                kept.append(seconds)

    def _quality(self) -> tuple[Quality | None, tuple[str, ...]]:
        """Measure both sides on labelled rows that the version has not learnt from; with it come sentences on what is not known."""
        interface, lineage = self._bundle.interface, self._bundle.manifest.lineage
        since = max(self._since, lineage.cut or 0.0)
        with self._store.read() as conn:
            found = matured_under(conn, Window(self._project, since, self._clock(), LABELLED), interface, self._bundles)
        rows = found.rows.take(found.rows.version != self._found.version)
        notes: tuple[str, ...] = ()
        try:
            rows = unseen(rows, origin.trained_on(self._workspace, self._bundle)) if interface.entity and len(rows) else rows
        except (SnapshotNotFound, SnapshotCorrupt):
            notes = ("Whether it has learnt from the entities of the labelled rows is not known: its snapshot is gone.",)
        if not len(rows):
            return None, notes
        y, metric = label_index(interface, rows.labels), self._project.contract.metric
        try:
            mine = self._engine.run(rows.matrix)
        except InferenceFailed as error:
            return None, (*notes, f"Its quality cannot be measured. {error.sentence}")
        own, answered = (measure(interface, y, scores).get(metric) for scores in (mine, rows.scores))
        return Quality(metric, len(rows), own, answered), notes


def record(store: Store, report: ShadowReport, *, at: float, actor: str) -> None:
    """Put a report into the record of events. It is no verdict: nothing follows from it by itself."""
    told = {key: value for key, value in told_of(report).items() if key != "model"}
    with store.write() as conn:
        events.append(conn, "shadow.reported", at=at, model=report.model, actor=actor, data=told)


def told_of(report: ShadowReport) -> dict[str, Any]:
    """Return a report as plain JSON."""
    return {**asdict(report), "latency": list(report.latency) if report.latency else None, "agreement": report.agreement}


def _drawn(prediction_id: str, share: float) -> bool:
    return share >= 1 or zlib.crc32(prediction_id.encode()) < share * 2**32


def _seconds(engine: Engine, row: Floats) -> float:
    begun = time.perf_counter()
    engine.run(row)
    return time.perf_counter() - begun
