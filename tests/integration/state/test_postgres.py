"""What is true of Postgres alone."""

import time

import pytest
from sqlalchemy import Connection

from tests.unit.state.rows import prediction
from treadle.errors import StoreUnavailable
from treadle.state import events, joins, log
from treadle.state import store as stores
from treadle.state.store import Store

pytestmark = pytest.mark.integration


def impatient(conn: Connection) -> Connection:
    """Make ``conn`` give up at once where it would wait for another transaction."""
    conn.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
    return conn


@pytest.mark.parametrize("key", [{"request_id": "k"}, {"entity": "k"}])
def test_labels_are_joined_only_when_every_prediction_can_be_seen(store: Store, key: dict[str, str]) -> None:
    with store.write() as first:
        log.insert_predictions(first, [prediction("p", **key)])
        with pytest.raises(StoreUnavailable, match="lock timeout"), store.write() as second:
            joins.resolve_labels(impatient(second), now=0.0, expire={})


def test_rows_that_no_label_can_name_but_by_their_id_wait_for_nobody(store: Store) -> None:
    with store.write() as first:
        events.append(first, "thing.happened", at=1.0, data={})
        with store.write() as second:
            log.insert_predictions(impatient(second), [prediction("p")])
    with store.read() as conn:
        assert log.totals(conn, "churn")["rows"] == 1


def test_no_plan_is_kept_from_when_a_table_was_empty(store: Store) -> None:
    for opened in (store.read, store.write):
        with opened() as conn:
            assert conn.exec_driver_sql("SHOW plan_cache_mode").scalar() == "force_custom_plan"


def test_who_stands_still_in_a_transaction_does_not_hold_the_others_up_for_good(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "IDLE_SECONDS", 1)
    suspended = Store(store.url)

    def write_too_late() -> None:
        with suspended.write() as first:
            events.append(first, "thing.happened", at=1.0, data={})
            with store.write() as second:
                events.append(second, "other.happened", at=2.0, data={})
            events.append(first, "thing.happened", at=3.0, data={})

    with pytest.raises(StoreUnavailable, match="idle-in-transaction timeout"):
        write_too_late()
    with suspended.read() as conn:
        assert [event.kind for event in events.after(conn, 0, limit=9)] == ["other.happened"]
    suspended.close()


def test_who_waits_for_another_one_gives_up_in_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BUSY_SECONDS", 1)
    waiting = Store(store.url)
    began = time.monotonic()
    with store.write() as first:
        events.append(first, "thing.happened", at=1.0, data={})
        with pytest.raises(StoreUnavailable, match="lock timeout"), waiting.write() as second:
            events.append(second, "other.happened", at=2.0, data={})
    assert time.monotonic() - began < stores.IDLE_SECONDS
    waiting.close()
