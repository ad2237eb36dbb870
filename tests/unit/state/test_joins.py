"""Labels find their predictions, whatever order both come in."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.state.rows import expected, joined, label, prediction
from treadle.state import joins, log
from treadle.state.store import Store

Row = Mapping[str, Any]
models = map("model{}".format, itertools.count())


def bring(store: Store, *batches: Sequence[Row]) -> None:
    """Insert each batch in its own transaction and resolve after it."""
    for batch in batches:
        with store.write() as conn:
            log.insert_predictions(conn, [row for row in batch if "answer" in row])
            log.insert_labels(conn, [row for row in batch if "value" in row])
            joins.resolve_labels(conn, now=100.0, expire={})


@pytest.mark.parametrize("key", [{"prediction_id": "p1"}, {"request_id": "r1"}, {"entity": "e1"}])
def test_a_label_finds_its_prediction_by_any_key(store: Store, key: dict[str, str]) -> None:
    bring(store, [prediction("p1", request_id="r1", entity="e1", at=1.0), prediction("p2", request_id="r2", entity="e2", at=1.0)])
    bring(store, [label("l1", **key)])
    with store.read() as conn:
        assert joined(conn) == {"l1": "p1"}


def test_an_entity_label_takes_the_last_answer_before_its_event(store: Store) -> None:
    bring(store, [prediction(f"p{at}", entity="e", at=float(at)) for at in (1, 2, 3)])
    bring(store, [label("l1", entity="e", event_at=2.5), label("l2", entity="e", event_at=0.5), label("l3", entity="e", event_at=3.0)])
    with store.read() as conn:
        assert joined(conn) == {"l1": "p2", "l2": None, "l3": "p3"}


def test_a_failed_try_does_not_take_the_label_of_its_request(store: Store) -> None:
    bring(
        store,
        [prediction("p1", request_id="r", at=1.0), prediction("p2", request_id="r", at=2.0, status="failed"), label("l", request_id="r")],
    )
    with store.read() as conn:
        assert joined(conn) == {"l": "p1"}


def test_a_label_of_another_model_is_not_joined(store: Store) -> None:
    bring(store, [prediction("p1", entity="e", request_id="r", model="iris")])
    bring(store, [label("l1", prediction_id="p1"), label("l2", entity="e"), label("l3", request_id="r")])
    with store.read() as conn:
        assert set(joined(conn).values()) == {None}


def test_an_orphan_waits_and_then_expires(store: Store) -> None:
    bring(store, [label("late", prediction_id="p1", received_at=50.0), label("never", prediction_id="p2", received_at=10.0)])
    with store.write() as conn:
        assert joins.resolve_labels(conn, now=60.0, expire={"churn": 40.0, "iris": 0.0}) == 0
    bring(store, [prediction("p1"), prediction("p2")])
    with store.read() as conn:
        assert joined(conn) == {"late": "p1", "never": None}


def test_the_same_label_twice_is_one_label(store: Store) -> None:
    twice = label("l", prediction_id="p")
    bring(store, [twice], [prediction("p")], [twice, prediction("p")])
    with store.read() as conn:
        assert joined(conn) == {"l": "p"}
        assert log.totals(conn, "churn") == {"rows": 1, "failed": 0, "labels": 1, "orphans": 0}


@pytest.mark.parametrize("key", [{"request_id": "k"}, {"entity": "k"}])
def test_a_prediction_that_is_shipped_late_takes_the_labels_that_fit_it_better(store: Store, key: dict[str, str]) -> None:
    bring(store, [prediction("first", at=1.0, **key), label("l", event_at=5.0, **key)])
    bring(store, [prediction("worse", at=0.5, **key), prediction("failed", at=3.0, status="failed", **key)])
    with store.read() as conn:
        assert joined(conn) == {"l": "first"}
    bring(store, [prediction("better", at=2.0, **key)])
    with store.read() as conn:
        assert joined(conn) == {"l": "better"}


times = st.integers(0, 6).map(float)
few = st.sampled_from(["a", "b"])
maybe = st.one_of(st.none(), few)
some_predictions = st.lists(
    st.fixed_dictionaries({"at": times, "entity": maybe, "request_id": maybe, "status": st.sampled_from(["ok", "ok", "failed"])}),
    max_size=6,
)
some_keys = st.one_of(
    st.fixed_dictionaries({"prediction_id": st.integers(0, 6)}),
    st.fixed_dictionaries({"request_id": few}),
    st.fixed_dictionaries({"entity": few}),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_predictions, st.lists(st.tuples(some_keys, times), max_size=6), st.data())
def test_labels_and_predictions_in_any_order_give_the_same_joins(
    store: Store, predicted: list[dict[str, Any]], told: list[tuple[dict[str, Any], float]], data: st.DataObject
) -> None:
    model = next(models)
    rows: list[Row] = [prediction(f"{model}-{number}", model=model, **fields) for number, fields in enumerate(predicted)]
    for number, (key, event_at) in enumerate(told):
        named = {"prediction_id": f"{model}-{key['prediction_id']}"} if "prediction_id" in key else key
        rows.append(label(f"{model}-l{number}", model=model, event_at=event_at, **named))
    order = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(order)))
    bring(store, order[:cut], order[cut:], order[:1])
    with store.read() as conn:
        assert joined(conn, model) == expected(rows)
