"""The promises of a store: whole transactions, snapshots that cannot write, errors that name the URL."""

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from treadle.errors import LeaseLost, StoreUnavailable
from treadle.state import schema
from treadle.state.store import Store

LEASE = {"name": "a", "holder": "me", "token": 1, "expires": 0.5}


def leases(conn: Connection) -> int:
    """Count the rows of a small table."""
    return conn.execute(select(func.count()).select_from(schema.leases)).scalar_one()


def test_what_is_written_is_read(store: Store) -> None:
    with store.write() as conn:
        conn.execute(insert(schema.leases).values(LEASE))
    with store.read() as conn:
        assert conn.execute(select(schema.leases)).mappings().one() == LEASE


def test_an_error_rolls_the_whole_transaction_back(store: Store) -> None:
    def insert_and_fail(conn: Connection) -> None:
        conn.execute(insert(schema.leases).values(LEASE))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.write() as conn:
        insert_and_fail(conn)
    with store.read() as conn:
        assert leases(conn) == 0


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.read() as conn:
        conn.execute(insert(schema.leases).values(LEASE))
    with store.read() as conn:
        assert leases(conn) == 0


def test_a_reader_sees_one_snapshot_while_others_write(store: Store) -> None:
    with store.read() as reader:
        assert leases(reader) == 0
        with store.write() as conn:
            conn.execute(insert(schema.leases).values(LEASE))
        assert leases(reader) == 0
    with store.read() as reader:
        assert leases(reader) == 1


def test_a_broken_constraint_is_not_told_as_an_outage(store: Store) -> None:
    with pytest.raises(IntegrityError), store.write() as conn:
        conn.execute(insert(schema.leases), [LEASE, LEASE])


def test_making_the_tables_again_keeps_the_rows(store: Store) -> None:
    with store.write() as conn:
        conn.execute(insert(schema.leases).values(LEASE))
    store.create()
    with store.read() as conn:
        assert leases(conn) == 1


def test_a_closed_store_can_be_used_again(store: Store) -> None:
    store.close()
    with store.read() as conn:
        assert leases(conn) == 0


def test_a_guarded_store_asks_before_every_write(store: Store) -> None:
    def refuse(_conn: Connection) -> None:
        raise LeaseLost("loop", "me")

    with pytest.raises(LeaseLost), store.guarded(refuse).write() as conn:
        conn.execute(insert(schema.leases).values(LEASE))
    with store.write() as conn:
        assert leases(conn) == 0
