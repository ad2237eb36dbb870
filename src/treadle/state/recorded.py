"""What the log recorded of one version, read once and whole, to be looked at as it stood at any moment of the past."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, exists, func, select

from treadle.state.schema import labels, predictions, profile_parts


@dataclass(frozen=True)
class Parts:
    """The parts of a version's live profile: ``buckets`` float64 [n] in ascending order, and each one's counts as they are stored."""

    buckets: NDArray[np.float64]
    stored: list[bytes]

    def counts(self, begin: int, end: int, size: int) -> NDArray[np.int64]:
        """Return the sum of the parts from number ``begin`` up to ``end``, int64 [size]."""
        total = np.zeros(size, dtype=np.int64)
        for part in self.stored[begin:end]:
            total += np.frombuffer(zlib.decompress(part), dtype="<i8")
        return total


@dataclass(frozen=True)
class Answers:
    """The rows that a version answered, oldest first, and the labels that came for them.

    ``at`` is float64 [n] and ``scores`` float32 [n, k]. A label is one place in ``row`` (the index of its answer, ascending, the
    labels of one answer from the weakest to the one that wins), ``received`` (when it came) and ``value``.
    """

    at: NDArray[np.float64]
    scores: NDArray[np.float32]
    row: NDArray[np.int64]
    received: NDArray[np.float64]
    value: list[str]

    def known(self, begin: int, end: int, now: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of the answers ``begin`` up to ``end`` had a label at ``now``, and the place of the label that counted then."""
        first, last = np.searchsorted(self.row, [begin, end])
        places = first + np.flatnonzero(self.received[first:last] <= now)
        rows = self.row[places]
        wins = np.append(rows[1:] != rows[:-1], values=True) if len(rows) else np.zeros(0, dtype=bool)
        return rows[wins], places[wins]


def read_parts(conn: Connection, model: str, version: int, profile_digest: str, *, since: float, until: float) -> Parts:
    """Return the parts of a version whose bucket starts in [``since``, ``until``)."""
    each = profile_parts.c
    of_profile = and_(each.model == model, each.version == version, each.profile_digest == profile_digest)
    chosen = select(each.bucket, each.counts).where(of_profile, each.bucket >= since, each.bucket < until).order_by(each.bucket)
    found = conn.execute(chosen).all()
    return Parts(np.array([row.bucket for row in found], dtype=np.float64), [row.counts for row in found])


def read_answers(  # noqa: PLR0913 - a version and a window, by name
    conn: Connection, model: str, version: int, digest: str, *, n_scores: int, since: float, until: float
) -> Answers:
    """Return what ``version`` (its bundle is ``digest``) answered in (``since``, ``until``], and every label that belongs to it."""
    each = predictions.c
    window = and_(each.model == model, each.at > since, each.at <= until, each.version == version)
    mine = and_(window, each.digest == digest, each.status == "ok", func.length(each.scores) == 4 * n_scores)
    found = conn.execute(select(each.prediction_id, each.at, each.scores).where(mine).order_by(each.at, each.prediction_id)).all()
    place = {row.prediction_id: number for number, row in enumerate(found)}
    told = select(labels.c.joined_id, labels.c.received_at, labels.c.value).join(predictions, labels.c.joined_id == each.prediction_id)
    told = told.where(mine).order_by(labels.c.event_at, labels.c.received_at, labels.c.label_id)
    known = sorted(conn.execute(told).all(), key=lambda row: place[row.joined_id])  # stable: of one answer the last one wins
    return Answers(
        np.array([row.at for row in found], dtype=np.float64),
        np.frombuffer(bytearray().join(row.scores for row in found), dtype="<f4").reshape(len(found), n_scores),
        np.array([place[row.joined_id] for row in known], dtype=np.int64),
        np.array([row.received_at for row in known], dtype=np.float64),
        [row.value for row in known],
    )


def answered_at(conn: Connection, model: str, *, labelled: bool) -> NDArray[np.float64]:
    """Return the times of all answered rows of a model in ascending order, or only of those that have a label."""
    mine = and_(predictions.c.model == model, predictions.c.status == "ok")
    known = exists().where(labels.c.joined_id == predictions.c.prediction_id)
    chosen = select(predictions.c.at).where(and_(mine, known) if labelled else mine).order_by(predictions.c.at)
    return np.array(conn.execute(chosen).scalars().all(), dtype=np.float64)
