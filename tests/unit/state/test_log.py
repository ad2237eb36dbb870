"""The log: rows come back as they went in, windows are exact, counts add up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.unit.state.rows import label, prediction
from treadle.state import joins, log, schema
from treadle.state.log import Answerer, LabelledRows, Part
from treadle.state.store import Store

EVERYTHING: dict[str, Any] = {"since": 0.0, "until": 100.0}
SHAPE = {"n_features": 3, "n_scores": 2}


def insert(store: Store, *rows: dict[str, Any]) -> None:
    """Insert predictions and labels and join them."""
    with store.write() as conn:
        log.insert_predictions(conn, [row for row in rows if "answer" in row])
        log.insert_labels(conn, [row for row in rows if "value" in row])
        joins.resolve_labels(conn, now=0.0, expire={})


def labelled(store: Store, **asked: Any) -> LabelledRows:
    """Return the labelled rows of everything, unless ``asked`` says otherwise."""
    with store.read() as conn:
        return log.labelled(conn, "churn", **{**EVERYTHING, **SHAPE, **asked})


def of(number: int, at: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a prediction and its label."""
    return prediction(f"p{number}", at=at), label(f"l{number}", prediction_id=f"p{number}", value=f"v{number}")


def test_a_row_comes_back_as_it_went_in(store: Store) -> None:
    full = prediction("p", entity="e", request_id="r", error="none", fallback=True, role="canary", at=1.123456789012345)
    insert(store, full)
    with store.read() as conn:
        assert dict(conn.execute(select(schema.predictions)).mappings().one()) == full


def test_labelled_rows_are_arrays(store: Store) -> None:
    insert(store, prediction("p", entity="e", version=7, role="canary", at=5.5), label("l", prediction_id="p", value="No"))
    rows = labelled(store)
    assert (rows.ids, rows.labels, rows.role, rows.entity, len(rows)) == (["p"], ["No"], ["canary"], ["e"], 1)
    assert [array.dtype.name for array in (rows.at, rows.matrix, rows.scores)] == ["float64", "float32", "float32"]
    np.testing.assert_array_equal(rows.at, [5.5])
    np.testing.assert_array_equal(rows.version, [7])
    np.testing.assert_array_equal(rows.matrix, [[1.0, 2.5, np.nan]])
    np.testing.assert_array_equal(rows.scores, [[0.25, 0.75]])


def test_no_rows_have_the_shape_too(store: Store) -> None:
    rows = labelled(store)
    assert (len(rows), rows.matrix.shape, rows.scores.shape) == (0, (0, 3), (0, 2))


def test_the_window_is_by_prediction_time_open_below_and_closed_above(store: Store) -> None:
    insert(store, *of(1, 1.0), *of(2, 2.0), *of(3, 3.0), *of(4, 4.0))
    assert labelled(store, since=1.0, until=3.0).labels == ["v2", "v3"]
    with store.read() as conn:
        assert log.count_labelled(conn, "churn", since=1.0, until=3.0) == 2


def test_rows_come_by_time_and_then_by_id_and_a_limit_keeps_the_newest(store: Store) -> None:
    insert(store, *of(2, 2.0), *of(3, 1.0), *of(1, 2.0))
    assert labelled(store).ids == ["p3", "p1", "p2"]
    assert labelled(store, limit=2).ids == ["p1", "p2"]


def test_the_label_with_the_last_event_wins(store: Store) -> None:
    times = {"a": (5.0, 9.0), "b": (7.0, 8.0), "c": (6.0, 10.0)}
    told = [label(name, prediction_id="p", value=name, event_at=event, received_at=received) for name, (event, received) in times.items()]
    insert(store, prediction("p"), *told)
    assert labelled(store).labels == ["b"]
    insert(store, label("d", prediction_id="p", value="d", event_at=7.0, received_at=9.0))
    assert labelled(store).labels == ["d"]


def test_a_missing_label_is_left_out_or_negative(store: Store) -> None:
    insert(store, *of(1, 1.0), prediction("p2", at=2.0))
    assert labelled(store).labels == ["v1"]
    assert labelled(store, negative="No").labels == ["v1"]
    assert labelled(store, missing="negative", negative="No").labels == ["v1", "No"]
    assert labelled(store, missing="negative").labels == ["v1"]
    with store.read() as conn:
        assert log.count_labelled(conn, "churn", **EVERYTHING) == 1
        assert log.count_labelled(conn, "churn", **EVERYTHING, missing="negative") == 2


def test_failed_rows_other_shapes_and_other_models_are_left_out(store: Store) -> None:
    strange: dict[str, dict[str, Any]] = {
        "failed": {"status": "failed"},
        "wide": {"row": b"1234" * 4},
        "flat": {"scores": b""},
        "iris": {"model": "iris"},
    }
    rows = [prediction(name, **fields) for name, fields in strange.items()]
    insert(store, *rows, *(label(f"l{row['prediction_id']}", prediction_id=row["prediction_id"], model=row["model"]) for row in rows))
    assert len(labelled(store)) == 0


def test_rows_can_be_taken_by_place_and_by_mask(store: Store) -> None:
    insert(store, *of(1, 1.0), *of(2, 2.0), *of(3, 3.0))
    rows = labelled(store)
    assert rows.take(np.array([2, 0])).labels == ["v3", "v1"]
    masked = rows.take(rows.at > 1.5)
    assert (masked.ids, masked.at.tolist(), masked.matrix.shape) == (["p2", "p3"], [2.0, 3.0], (2, 3))
    assert len(rows.take(np.array([], dtype=np.int64))) == 0


def test_rows_of_one_bundle_can_be_asked_for(store: Store) -> None:
    other = prediction("p9", at=9.0, digest="e", version=2)
    insert(store, *of(1, 1.0), *of(2, 2.0), other, label("l9", prediction_id="p9"), prediction("unlabelled", at=3.0, digest="f"))
    assert labelled(store, digest="d").ids == ["p1", "p2"]
    assert labelled(store, digest="e").ids == ["p9"]
    assert labelled(store).ids == ["p1", "p2", "p9"]


def test_answerers_count_what_is_labelled_per_bundle_oldest_version_first(store: Store) -> None:
    rows = [prediction("p9", at=9.0, digest="c", version=2), prediction("p8", at=9.0, digest="e"), prediction("late", at=99.5)]
    insert(store, *of(1, 1.0), *of(2, 2.0), *rows, label("l9", prediction_id="p9"))
    with store.read() as conn:
        assert log.answerers(conn, "churn", since=0.0, until=50.0) == [Answerer(1, "d", 2), Answerer(2, "c", 1)]
        counted = log.answerers(conn, "churn", since=0.0, until=50.0, missing="negative")
        assert counted == [Answerer(1, "d", 2), Answerer(1, "e", 1), Answerer(2, "c", 1)]
        assert log.answerers(conn, "iris", **EVERYTHING) == []


def test_rows_are_joined_by_time_and_then_by_id(store: Store) -> None:
    insert(store, *of(1, 1.0), *of(2, 2.0), *of(3, 2.0), *of(4, 4.0))
    rows = labelled(store)
    joined = rows.take(np.array([0, 2])).joined(rows.take(np.array([1, 3])))
    assert (joined.ids, joined.labels, joined.at.tolist()) == (rows.ids, rows.labels, rows.at.tolist())
    np.testing.assert_array_equal(joined.matrix, rows.matrix)


def test_recent_rows_need_no_label(store: Store) -> None:
    old = prediction("old", version=2, at=1.0, row=b"1234")
    insert(
        store, old, prediction("a", at=2.0), prediction("b", at=3.0), prediction("c", at=4.0), prediction("bad", at=4.0, status="failed")
    )
    with store.read() as conn:
        rows = log.recent_rows(conn, "churn", version=1, **EVERYTHING, limit=2)
        none = log.recent_rows(conn, "churn", version=9, **EVERYTHING)
    assert (rows.ids, rows.matrix.shape, rows.scores.shape) == (["b", "c"], (2, 3), (2, 2))
    assert (len(none), none.matrix.shape) == (0, (0, 0))


def test_each_version_is_counted_on_the_traffic_routed_to_it(store: Store) -> None:
    insert(
        store,
        prediction("before", at=1.0),
        prediction("a", at=2.0, seconds=0.5),
        prediction("b", at=3.0, seconds=0.125),
        prediction("c", at=3.0, version=2, role="canary", status="failed"),
        prediction("c2", at=3.0, fallback=True),
        prediction("d", at=4.0, version=2, role="canary", seconds=1.0),
    )
    with store.read() as conn:
        served = log.canary_counts(conn, "churn", since=1.0)
    assert {version: (one.rows, one.failed, sorted(one.seconds)) for version, one in served.items()} == {
        1: (2, 0, [0.125, 0.5]),
        2: (2, 1, [1.0]),
    }
    assert (served[3].rows, served[3].failed, len(served[3].seconds)) == (0, 0, 0)


def test_totals(store: Store) -> None:
    insert(store, *of(1, 1.0), prediction("p2", status="failed"), label("orphan", prediction_id="gone"), prediction("x", model="iris"))
    with store.read() as conn:
        assert log.totals(conn, "churn") == {"rows": 2, "failed": 1, "labels": 2, "orphans": 1}
        assert log.totals(conn, "none") == {"rows": 0, "failed": 0, "labels": 0, "orphans": 0}


def test_a_segment_is_shipped_from_where_it_stood(store: Store) -> None:
    with store.write() as conn:
        assert log.offset(conn, "a") == 0
        log.advance_segment(conn, "a", 10, start=0, sealed=False, at=1.0)
        log.advance_segment(conn, "b", 5, start=0, sealed=True, at=1.0)
        log.advance_segment(conn, "a", 30, start=10, sealed=True, at=2.0)
    with store.read() as conn:
        assert (log.offset(conn, "a"), log.offset(conn, "b")) == (30, 5)


PART = Part("churn", 1, "profile", 60.0, np.array([1, 2, 3]), 6)


def test_parts_of_one_profile_add_up_over_buckets(store: Store) -> None:
    with store.write() as conn:
        log.add_part(conn, "a", 0, PART)
        log.add_part(conn, "a", 0, replace(PART, bucket=120.0, counts=np.array([0, 0, 2**40])))
        log.add_part(conn, "b", 0, replace(PART, bucket=180.0))
        log.add_part(conn, "b", 0, replace(PART, profile_digest="other"))
        log.add_part(conn, "b", 0, replace(PART, version=2))
    with store.read() as conn:
        total = log.counts(conn, "churn", 1, "profile", since=60.0, until=180.0)
        assert total is not None
        assert (total.dtype.name, total.tolist()) == ("int64", [1, 2, 3 + 2**40])
        assert log.counts(conn, "churn", 1, "profile", since=61.0, until=120.0) is None


def test_the_same_bytes_cannot_be_counted_twice(store: Store) -> None:
    with store.write() as conn:
        log.add_part(conn, "a", 0, PART)
    with pytest.raises(IntegrityError), store.write() as conn:
        log.add_part(conn, "a", 0, PART)
