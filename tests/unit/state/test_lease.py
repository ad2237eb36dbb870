"""The lease: one holder at a time, and a token that fences off who slept."""

import pytest

from treadle.errors import LeaseLost
from treadle.state import lease
from treadle.state.lease import Lease
from treadle.state.store import Store


def take(store: Store, holder: str, now: float) -> Lease | None:
    """Ask for the lease."""
    return lease.acquire(store, "loop", holder, ttl=10.0, now=now)


def test_a_lease_is_refused_while_another_holds_it(store: Store) -> None:
    assert take(store, "a", 0.0) == Lease("loop", "a", 1, 10.0)
    assert take(store, "b", 9.0) is None
    assert take(store, "b", 10.0) == Lease("loop", "b", 2, 20.0)


def test_who_holds_a_lease_is_known_for_as_long_as_it_lasts(store: Store) -> None:
    take(store, "a", 0.0)
    with store.read() as conn:
        assert [lease.holder(conn, "loop", now=now) for now in (9.0, 10.0)] == ["a", None]
        assert lease.holder(conn, "other", now=0.0) is None


def test_leases_of_other_names_are_free(store: Store) -> None:
    take(store, "a", 0.0)
    assert lease.acquire(store, "other", "b", ttl=1.0, now=0.0) == Lease("other", "b", 1, 1.0)


def test_who_slept_past_its_lease_cannot_write_any_more(store: Store) -> None:
    slept = take(store, "a", 0.0)
    awake = take(store, "b", 11.0)
    assert slept is not None
    assert awake is not None
    with store.write() as conn:
        lease.check(conn, awake)
        with pytest.raises(LeaseLost, match="a does not hold"):
            lease.check(conn, slept)
    with pytest.raises(LeaseLost):
        lease.renew(store, slept, ttl=10.0, now=12.0)


def test_a_lease_that_nobody_took_can_be_renewed_late(store: Store) -> None:
    held = take(store, "a", 0.0)
    assert held is not None
    renewed = lease.renew(store, held, ttl=10.0, now=50.0)
    assert renewed == Lease("loop", "a", 1, 60.0)
    assert take(store, "b", 59.0) is None


def test_a_namesake_fences_off_the_one_before(store: Store) -> None:
    before = take(store, "a", 0.0)
    assert before is not None
    assert take(store, "a", 1.0) == Lease("loop", "a", 2, 11.0)
    with pytest.raises(LeaseLost), store.write() as conn:
        lease.check(conn, before)


def test_a_lease_that_is_given_back_is_free_at_once(store: Store) -> None:
    held = take(store, "a", 0.0)
    assert held is not None
    lease.release(store, held)
    newer = take(store, "b", 1.0)
    assert newer == Lease("loop", "b", 2, 11.0)
    lease.release(store, held)  # too late: it changes nothing
    assert take(store, "c", 2.0) is None
