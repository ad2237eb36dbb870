"""What was predicted and what turned out to be true: the rows that workers spool and the shipper inserts.

Rows, their counts in the live profile and how far their segment was shipped are written in one transaction, so that a row
is logged and counted exactly once.
"""

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, false, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from treadle.errors import StoreUnavailable
from treadle.spec.addresses import without_secrets
from treadle.state.columns import Columns, insert_columns
from treadle.state.deployments import PINNED
from treadle.state.joins import Named, rejoin
from treadle.state.schema import labels, predictions, profile_parts, segments

Missing = Literal["exclude", "negative"]

PREDICTION_COLUMNS = tuple(predictions.c.keys())
_ROUTED = and_(predictions.c.fallback == false(), predictions.c.role != PINNED)
"""Rows that a version met because they were routed to it: calls that name a version, or are answered by another, are no sample."""

_SEGMENT = segments.c.segment == bindparam("this")
_SHIPPED = select(segments.c.offset).where(_SEGMENT).with_for_update()
_ADVANCE = update(segments).where(_SEGMENT, segments.c.offset == bindparam("start"))
_ADD_PART = insert(profile_parts)
"""Statements of every bite: to word them each time would take as long as some hundred rows."""

_LABEL_COLUMNS = ("label_id", "model", "prediction_id", "request_id", "entity", "value", "event_at", "received_at")


@dataclass(frozen=True)
class LoggedRows:
    """Answered rows, oldest first: ``at`` float64 [n] in epoch seconds, ``matrix`` float32 [n, f], ``scores`` float32 [n, k]."""

    ids: list[str]
    at: NDArray[np.float64]
    version: NDArray[np.int64]
    role: list[str]
    entity: list[str | None]
    matrix: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[Any]) -> Self:
        """Return the rows at ``index`` (places or a mask), in its order."""
        places = np.arange(len(self))[index]
        taken: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            taken[field.name] = [value[place] for place in places] if isinstance(value, list) else value[places]
        return replace(self, **taken)

    def joined(self, more: Self) -> Self:
        """Return these rows and ``more``, whose matrices are as wide, ordered by time and id."""
        both: dict[str, Any] = {}
        for field in fields(self):
            some, others = getattr(self, field.name), getattr(more, field.name)
            both[field.name] = some + others if isinstance(some, list) else np.concatenate([some, others])
        unordered = replace(self, **both)
        return unordered.take(np.lexsort((np.asarray(unordered.ids, dtype=object).astype(str), unordered.at)))


@dataclass(frozen=True)
class LabelledRows(LoggedRows):
    """Answered rows with the value that turned out to be true, as text."""

    labels: list[str]


class Answered(NamedTuple):
    """One answered row as it is logged: ``row`` and ``scores`` are little-endian float32, and the bundle ``digest`` says what they mean."""

    prediction_id: str
    at: float
    version: int
    digest: str
    row: bytes
    scores: bytes


@dataclass(frozen=True)
class Answerer:
    """A version that answered ``rows`` rows; its bundle, ``digest``, says what their numbers mean."""

    version: int
    digest: str
    rows: int


@dataclass(frozen=True)
class Served:
    """How one version did: ``rows`` it was asked for, ``failed`` among them, ``seconds`` float64 of those it answered."""

    rows: int
    failed: int
    seconds: NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """What some predictions of one version add to its live profile.

    ``counts`` is int64 in the order of the profile ``profile_digest``; ``bucket`` is the start of its minute in epoch seconds.
    """

    model: str
    version: int
    profile_digest: str
    bucket: float
    counts: NDArray[np.int64]
    rows: int


# writing


def insert_predictions(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``, which have all columns of the table; one whose id is there already is skipped."""
    if rows:
        insert_prediction_columns(conn, _by_column(rows, PREDICTION_COLUMNS))


def insert_prediction_columns(conn: Connection, columns: Columns) -> None:
    """Insert rows by column, at least one of them, which have all columns of the table; one whose id is there already is skipped."""
    insert_columns(conn, predictions, columns)
    named: dict[str, Named] = defaultdict(lambda: Named([], []))
    for place, name in enumerate(("entity", "request_id")):
        if columns[name].count(None) < len(columns[name]):
            for model, at, field in zip(columns["model"], columns["at"], columns[name], strict=True):
                if field is not None:
                    named[model][place].append(at)
    for model, times in named.items():
        rejoin(conn, model, times)


def insert_labels(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``, which have all columns up to ``received_at``; one whose id is there already is skipped."""
    if rows:
        insert_columns(conn, labels, _by_column(rows, _LABEL_COLUMNS))


def _by_column(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Columns:
    return {name: [row[name] for row in rows] for name in names}


def offset(conn: Connection, segment: str) -> int:
    """Return how many bytes of ``segment`` were shipped; 0 if it is not known."""
    return conn.execute(select(segments.c.offset).where(segments.c.segment == segment)).scalar() or 0


def advance_segment(conn: Connection, segment: str, offset: int, *, start: int, sealed: bool, at: float) -> None:
    """Record that ``segment`` was shipped from ``start`` up to ``offset``; ``sealed`` says that nothing will follow.

    Raises:
        StoreUnavailable: it was not at ``start``. Another process ships it too, or the store was put back from a copy.
    """
    values = {"offset": offset, "sealed": sealed, "at": at}
    if conn.execute(_ADVANCE, {"this": segment, "start": start, **values}).rowcount:
        return
    begin = sqlite.insert(segments) if conn.dialect.name == "sqlite" else postgresql.insert(segments)
    if start or not conn.execute(begin.values(segment=segment, **values).on_conflict_do_nothing()).rowcount:
        _refuse(conn, segment, start)


def add_part(conn: Connection, segment: str, offset: int, part: Part) -> None:
    """Insert ``part``, counted from the bytes of ``segment`` that begin at ``offset``; before the segment is advanced past them.

    Raises:
        StoreUnavailable: these bytes were shipped before. They were counted then, whether or not that part was merged since.
    """
    if (conn.execute(_SHIPPED, {"this": segment}).scalar() or 0) > offset:
        _refuse(conn, segment, offset)
    values = {
        "segment": segment,
        "offset": offset,
        "model": part.model,
        "version": part.version,
        "profile_digest": part.profile_digest,
        "bucket": part.bucket,
        "counts": zlib.compress(np.asarray(part.counts, dtype="<i8").tobytes(), 1),
        "rows": part.rows,
    }
    conn.execute(_ADD_PART, values)


def _refuse(conn: Connection, segment: str, start: int) -> NoReturn:
    url = without_secrets(conn.engine.url.render_as_string(hide_password=False))
    reason = (
        f"segment {segment} was shipped up to byte {offset(conn, segment)}, not {start}: by another process, or the store was put back."
    )
    raise StoreUnavailable(url, reason, fix="The shipper asks again where it stands and goes on from there: `treadle status`.")


# reading


def labelled(  # noqa: PLR0913 - a window, the shape of its rows and what a missing label means, all by name
    conn: Connection,
    model: str,
    *,
    since: float,
    until: float,
    n_features: int,
    n_scores: int,
    missing: Missing = "exclude",
    negative: str | None = None,
    limit: int | None = None,
    digest: str | None = None,
    routed: bool = False,
) -> LabelledRows:
    """Return the answered rows predicted in (``since``, ``until``] with their labels, ordered by time and id; only those of ``digest``.

    ``routed``: only those that the version answered because they were routed to it, not in place of one that failed, nor by name.

    The label with the last event time wins. A row without one is left out, or counts as ``negative`` where ``missing`` says
    so. Rows of another shape (of a version with other features) are left out. Of more than ``limit`` rows the newest are kept.
    """
    counted: Missing = "exclude" if negative is None else missing
    value = select(labels.c.value).where(labels.c.joined_id == predictions.c.prediction_id)
    value = value.order_by(labels.c.event_at.desc(), labels.c.received_at.desc(), labels.c.label_id.desc()).limit(1)
    label = func.coalesce(value.scalar_subquery(), literal(negative)).label("label")
    shape = and_(func.length(predictions.c.row) == 4 * n_features, func.length(predictions.c.scores) == 4 * n_scores)
    asked = _rows(label).where(_answered(model, since, until, counted), shape)
    if digest is not None:
        asked = asked.where(predictions.c.digest == digest)
    if routed:
        asked = asked.where(_ROUTED)
    found = _newest(conn, asked, limit)
    return LabelledRows(**_columns(found, n_features, n_scores), labels=[row.label for row in found])


def answerers(conn: Connection, model: str, *, since: float, until: float, missing: Missing = "exclude") -> list[Answerer]:
    """Return whose rows ``count_labelled`` counts, oldest version first."""
    each = predictions.c
    counted = select(func.min(each.version).label("version"), each.digest, func.count().label("rows"))
    counted = counted.where(_answered(model, since, until, missing)).group_by(each.digest)
    found = conn.execute(counted.order_by(func.min(each.version), each.digest))
    return [Answerer(row.version, row.digest, row.rows) for row in found]


def count_labelled(conn: Connection, model: str, *, since: float, until: float, missing: Missing = "exclude") -> int:
    """Return how many answered rows predicted in (``since``, ``until``] have a label, or count as having one."""
    return conn.execute(select(func.count()).select_from(predictions).where(_answered(model, since, until, missing))).scalar_one()


def recent_rows(conn: Connection, model: str, *, version: int, since: float, until: float, limit: int | None = None) -> LoggedRows:
    """Return the rows that ``version`` answered in (``since``, ``until``], labelled or not; of more than ``limit`` the newest."""
    asked = _rows().where(_answered(model, since, until, "negative"), predictions.c.version == version)
    found = _newest(conn, asked, limit)
    widths = (len(found[0].row) // 4, len(found[0].scores) // 4) if found else (0, 0)
    return LoggedRows(**_columns(found, *widths))


def answered_after(conn: Connection, model: str, last: tuple[float, str], *, until: float, but: str, limit: int) -> list[Answered]:
    """Return the next ``limit`` rows of traffic after the row ``last`` (time and id) up to ``until``, ordered by time and id.

    Rows that the bundle ``but`` answered are left out, and those of a version that the caller has named.
    """
    each, (at, name) = predictions.c, last
    asked = select(each.prediction_id, each.at, each.version, each.digest, each.row, each.scores)
    asked = asked.where(each.model == model, each.at >= at, each.at <= until, each.status == "ok", each.digest != but)
    asked = asked.where(or_(each.at > at, each.prediction_id > name), each.role != PINNED)
    return [Answered(*row) for row in conn.execute(asked.order_by(each.at, each.prediction_id).limit(limit))]


def routed_counts(conn: Connection, model: str, *, since: float, until: float) -> dict[str, tuple[int, int]]:
    """Return by bundle how many rows in (``since``, ``until``] were answered and how many failed, of those that were routed to it."""
    each = predictions.c
    asked = select(each.digest, each.status, func.count().label("rows")).where(
        each.model == model, each.at > since, each.at <= until, _ROUTED
    )
    found: defaultdict[str, dict[bool, int]] = defaultdict(dict)
    for row in conn.execute(asked.group_by(each.digest, each.status)):
        found[row.digest][row.status == "ok"] = row.rows
    return {digest: (counted.get(True, 0), counted.get(False, 0)) for digest, counted in found.items()}


def canary_counts(conn: Connection, model: str, *, since: float) -> Mapping[int, Served]:
    """Return how each version did on the traffic routed to it after ``since``; a version without traffic has 0 rows.

    Answers in place of a version that failed, and of one that the caller has named, are not counted: they are no sample of traffic.
    """
    chosen = select(predictions.c.version, predictions.c.status, predictions.c.seconds)
    chosen = chosen.where(predictions.c.model == model, predictions.c.at > since, _ROUTED)
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    failed: defaultdict[int, int] = defaultdict(int)
    for version, status, took in conn.execute(chosen):
        if status == "ok":
            seconds[version].append(took)
        else:
            failed[version] += 1
    served = {
        version: Served(len(seconds[version]) + failed[version], failed[version], np.array(seconds[version]))
        for version in [*seconds, *(version for version in failed if version not in seconds)]
    }
    return defaultdict(lambda: Served(0, 0, np.zeros(0)), served)


def totals(conn: Connection, model: str) -> dict[str, int]:
    """Return how many ``rows`` and ``labels`` of ``model`` there are, how many rows ``failed`` and how many labels are ``orphans``."""
    of_model, labels_of_model = predictions.c.model == model, labels.c.model == model
    asked = {
        "rows": select(func.count()).select_from(predictions).where(of_model),
        "failed": select(func.count()).select_from(predictions).where(of_model, predictions.c.status == "failed"),
        "labels": select(func.count()).select_from(labels).where(labels_of_model),
        "orphans": select(func.count()).select_from(labels).where(labels_of_model, labels.c.joined_id.is_(None)),
    }
    return {name: conn.execute(statement).scalar_one() for name, statement in asked.items()}


def counts(conn: Connection, model: str, version: int, profile_digest: str, *, since: float, until: float) -> NDArray[np.int64] | None:
    """Return the sum of the parts whose bucket starts in [``since``, ``until``); None if there are none."""
    each = profile_parts.c
    of_profile = (each.model == model, each.version == version, each.profile_digest == profile_digest)
    found = conn.execute(select(each.counts).where(*of_profile, each.bucket >= since, each.bucket < until)).scalars()
    parts = [np.frombuffer(zlib.decompress(part), dtype="<i8") for part in found]
    return np.sum(parts, axis=0, dtype=np.int64) if parts else None


def _answered(model: str, since: float, until: float, missing: Missing) -> ColumnElement[bool]:
    window = and_(predictions.c.model == model, predictions.c.at > since, predictions.c.at <= until, predictions.c.status == "ok")
    known = exists().where(labels.c.joined_id == predictions.c.prediction_id)
    return and_(window, known) if missing == "exclude" else window


def _rows(*more: ColumnElement[Any]) -> Select[Any]:
    each = predictions.c
    return select(each.prediction_id, each.at, each.version, each.role, each.entity, each.row, each.scores, *more)


def _newest(conn: Connection, statement: Select[Any], limit: int | None) -> Sequence[Any]:
    newest_first = statement.order_by(predictions.c.at.desc(), predictions.c.prediction_id.desc()).limit(limit)
    return conn.execute(newest_first).all()[::-1]


def _columns(found: Sequence[Any], n_features: int, n_scores: int) -> dict[str, Any]:
    return {
        "ids": [row.prediction_id for row in found],
        "at": np.array([row.at for row in found], dtype=np.float64),
        "version": np.array([row.version for row in found], dtype=np.int64),
        "role": [row.role for row in found],
        "entity": [row.entity for row in found],
        "matrix": np.frombuffer(bytearray().join(row.row for row in found), dtype="<f4").reshape(len(found), n_features),
        "scores": np.frombuffer(bytearray().join(row.scores for row in found), dtype="<f4").reshape(len(found), n_scores),
    }
