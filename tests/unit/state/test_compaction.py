"""Parts are merged, and the sums stay: whatever is shipped when, whatever is merged when, whatever is cut short."""

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from treadle.errors import StoreUnavailable
from treadle.state import compaction, log
from treadle.state.log import Part
from treadle.state.schema import metadata, profile_parts, segments
from treadle.state.store import Store

BUCKETS = (60.0, 120.0)
DAY = 86400.0


class CutShortError(Exception):
    """Stands for a kill in the middle of a transaction."""


Key = tuple[int, str, float]


@dataclass(frozen=True)
class Ship:
    """One bite of a segment: what it adds, whether it is the last one, whether it is cut short before its end."""

    segment: str
    parts: dict[Key, list[int]]
    sealed: bool
    dies: bool


@dataclass(frozen=True)
class ShipAgain:
    """The same bytes once more: an old copy of the segment, or a second shipper."""

    segment: str
    back: int


@dataclass(frozen=True)
class Merge:
    """Merge up to ``limit`` parts of before ``until``."""

    until: float
    limit: int
    dies: bool


@dataclass
class Expected:
    """What has been shipped, once each."""

    places: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    rows: int = 0


keys = st.sampled_from([(1, "p", 60.0), (1, "p", 120.0), (1, "q", 60.0), (2, "p", 60.0)])  # few, so that they meet
counts = st.lists(st.integers(0, 2**40), min_size=3, max_size=3)
steps = st.one_of(
    st.builds(Ship, st.sampled_from("abc"), st.dictionaries(keys, counts, max_size=4), st.booleans(), st.booleans()),
    st.builds(ShipAgain, st.sampled_from("abc"), st.integers(1, 3)),
    st.builds(Merge, st.sampled_from([100.0, 1e9]), st.integers(1, 5), st.booleans()),
)


def ship(store: Store, step: Ship, start: int, *, dies: bool = False) -> None:
    with store.write() as conn:
        for (version, digest, bucket), count in step.parts.items():
            log.add_part(conn, step.segment, start, Part("churn", version, digest, bucket, np.array(count), sum(count)))
        log.advance_segment(conn, step.segment, start + 10, start=start, sealed=step.sealed, at=1.0)
        if dies:
            raise CutShortError


def act(store: Store, step: Ship | ShipAgain | Merge, expected: Expected) -> None:
    if isinstance(step, Merge):
        with store.write() as conn:
            compaction.merge(conn, until=step.until, limit=step.limit)
            if step.dies:
                raise CutShortError
    elif isinstance(step, ShipAgain):
        start = expected.places[step.segment] - 10 * step.back
        if start >= 0:
            again = Ship(step.segment, {(1, "p", 60.0): [1, 1, 1]}, sealed=True, dies=False)
            with pytest.raises(StoreUnavailable, match="was shipped up to byte"):
                ship(store, again, start)
    else:
        ship(store, step, expected.places[step.segment], dies=step.dies)
        expected.places[step.segment] += 10
        for key, count in step.parts.items():
            expected.sums[key] = [ours + more for ours, more in zip(expected.sums[key], count, strict=True)]
            expected.rows += sum(count)


def agree(store: Store, expected: Expected) -> None:
    with store.read() as conn:
        for version in (1, 2):
            for digest in ("p", "q"):
                for bucket in BUCKETS:
                    found = log.counts(conn, "churn", version, digest, since=bucket, until=bucket + 60)
                    assert (found.tolist() if found is not None else [0, 0, 0]) == expected.sums[version, digest, bucket]
        assert (conn.execute(select(func.sum(profile_parts.c.rows))).scalar() or 0) == expected.rows


def empty(store: Store) -> None:
    with store.write() as conn:
        for table in metadata.sorted_tables:
            conn.execute(table.delete())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
def test_the_sums_are_what_was_shipped_once_after_every_step(store: Store, plan: list[Ship | ShipAgain | Merge]) -> None:
    empty(store)
    expected = Expected()
    for step in plan:
        with contextlib.suppress(CutShortError):
            act(store, step, expected)
        agree(store, expected)
    while True:
        with store.write() as conn:
            if not compaction.merge(conn, until=1e9, limit=3):
                break
    agree(store, expected)
    with store.read() as conn:
        shipped = {key for step in plan if isinstance(step, Ship) and not step.dies for key in step.parts}
        assert conn.execute(select(func.count()).select_from(profile_parts)).scalar() == len(shipped)


def test_what_is_shipped_late_is_added_to_its_merged_part(store: Store) -> None:
    for segment in "abc":
        ship(store, Ship(segment, {(1, "p", 60.0): [1, 2, 3]}, sealed=False, dies=False), 0)
        with store.write() as conn:
            assert compaction.merge(conn, until=100.0, limit=10) == 1
    with store.read() as conn:
        (row,) = conn.execute(select(profile_parts)).all()
        assert (row.segment, row.offset, row.bucket, row.rows) == (compaction.MERGED, 0, 60.0, 18)
        assert compaction.MERGED not in set(conn.execute(select(segments.c.segment)).scalars())


def test_a_bucket_that_is_not_over_is_left_as_it_was_shipped(store: Store) -> None:
    ship(store, Ship("a", {(1, "p", 60.0): [1, 2, 3], (1, "p", 120.0): [1, 2, 3]}, sealed=False, dies=False), 0)
    with store.write() as conn:
        assert compaction.merge(conn, until=120.0, limit=10) == 1
    with store.read() as conn:
        assert set(conn.execute(select(profile_parts.c.segment, profile_parts.c.bucket)).all()) == {("", 60.0), ("a", 120.0)}


def test_a_segment_that_the_store_has_lost_is_not_gone_on_with(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="up to byte 0, not 10"), store.write() as conn:
        log.advance_segment(conn, "a", 20, start=10, sealed=False, at=1.0)


def advance(store: Store, segment: str, *, sealed: bool, at: float) -> None:
    with store.write() as conn:
        log.advance_segment(conn, segment, 10, start=0, sealed=sealed, at=at)


def forget(store: Store, *, now: float, limit: int = 10) -> set[str]:
    with store.write() as conn:
        compaction.forget_segments(conn, keep=30 * DAY, now=now, limit=limit)
        return set(conn.execute(select(segments.c.segment)).scalars())


def test_segments_that_were_shipped_whole_are_forgotten_when_no_backup_of_them_is_left(store: Store) -> None:
    advance(store, "old", sealed=True, at=0.0)
    advance(store, "waits", sealed=False, at=0.0)
    advance(store, "young", sealed=True, at=2 * DAY)
    assert forget(store, now=100 * DAY) == {"old", "waits", "young"}  # nothing was shipped since: a store from a backup
    advance(store, "newest", sealed=True, at=31 * DAY)
    assert forget(store, now=29 * DAY) == {"old", "waits", "young", "newest"}
    assert forget(store, now=31 * DAY) == {"waits", "young", "newest"}
    assert forget(store, now=90 * DAY) == {"waits", "young", "newest"}


def test_segments_are_forgotten_some_at_a_time(store: Store) -> None:
    for number in range(5):
        advance(store, f"old-{number}", sealed=True, at=0.0)
    advance(store, "newest", sealed=True, at=31 * DAY)
    assert len(forget(store, now=31 * DAY, limit=2)) == 4
    assert forget(store, now=31 * DAY) == {"newest"}
