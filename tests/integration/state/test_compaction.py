"""The tests of tests/unit/state/test_compaction.py on Postgres; and on both, merging while others ship and read."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import func, select

from tests.unit.state.test_compaction import *  # noqa: F403 - each test is the test
from treadle.errors import StoreUnavailable
from treadle.state import compaction, log
from treadle.state.log import Part
from treadle.state.schema import profile_parts
from treadle.state.store import Store, open_store

pytestmark = pytest.mark.integration

SHIPPERS, BITES = 3, 60


def carry(store: Store, segment: str) -> None:
    """Ship a segment, each bite of it twice: the second time by one that does not know of the first."""
    for number in range(BITES):
        for _ in range(2):
            with contextlib.suppress(StoreUnavailable), store.write() as conn:
                log.add_part(conn, segment, number, Part("churn", 1, "p", 60.0 * (number % 4), np.array([1, 10]), 1))
                log.advance_segment(conn, segment, number + 1, start=number, sealed=number == BITES - 1, at=1.0)


def until_done(done: threading.Event, step: Callable[[], None]) -> None:
    while not done.is_set():
        step()
    step()


def test_merging_while_others_ship_and_read_changes_no_sum(store_url: str) -> None:
    store, done = open_store(store_url), threading.Event()
    seen: list[int] = [0]

    def merge() -> None:
        with store.write() as conn:
            compaction.merge(conn, until=1e9, limit=7)

    def read() -> None:
        with store.read() as conn:
            found = log.counts(conn, "churn", 1, "p", since=0.0, until=1e9)
            rows = conn.execute(select(func.sum(profile_parts.c.rows))).scalar() or 0
        seen.append(int(found[0]) if found is not None else 0)
        assert rows == seen[-1]

    with ThreadPoolExecutor(SHIPPERS + 2) as pool:
        shipping = [pool.submit(carry, store, f"s{number}") for number in range(SHIPPERS)]
        beside = [pool.submit(until_done, done, merge), pool.submit(until_done, done, read)]
        for one in shipping:
            one.result(60)
        done.set()
        for one in beside:
            one.result(60)
    while True:
        with store.write() as conn:
            if not compaction.merge(conn, until=1e9, limit=100):
                break
    read()
    assert seen == sorted(seen)
    assert seen[-1] == SHIPPERS * BITES
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(profile_parts)).scalar() == 4
    store.close()
