"""Rows that are inserted by column are what they would be row by row."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from tests.unit.state.rows import label, prediction
from treadle.state import joins, log
from treadle.state.columns import insert_columns
from treadle.state.schema import labels, predictions
from treadle.state.store import Store

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
"""Postgres has no text with a NUL in it, and no encoding a lone surrogate."""
fields = st.fixed_dictionaries(
    {
        "request_id": st.none() | texts,
        "entity": st.none() | texts | st.just("same"),
        "row": st.none() | st.binary(max_size=40) | st.just(b"\0" * 8),
        "scores": st.binary(min_size=8, max_size=8),
        "answer": texts,
    }
)


def stored(store: Store) -> list[dict[str, Any]]:
    with store.read() as conn:
        found = conn.execute(select(predictions).order_by(predictions.c.prediction_id)).mappings()
        return [dict(row) for row in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(fields, min_size=1, max_size=30))
def test_what_is_inserted_by_column_is_what_was_given(store: Store, rows: list[dict[str, Any]]) -> None:
    named = [{"prediction_id": str(uuid.UUID(int=number)), **row} for number, row in enumerate(rows)]
    columns = {name: [row[name] for row in named] for name in named[0]}
    whole = prediction("any", model="m", at=1.123456789012345, fallback=True)
    shared = {name: value for name, value in whole.items() if name not in columns and value is not None}
    with store.write() as conn:
        conn.execute(delete(predictions))
        insert_columns(conn, predictions, shared, columns)
    assert stored(store) == [{**whole, **row} for row in named]


def test_a_key_that_is_there_already_is_skipped(store: Store) -> None:
    shared = {name: value for name, value in prediction("a").items() if name not in ("prediction_id", "answer") and value is not None}
    for answers in (["1", "2"], ["3", "4", "5"]):
        with store.write() as conn:
            insert_columns(conn, predictions, shared, {"prediction_id": ["a", "b", "c"][: len(answers)], "answer": answers})
    assert [(row["prediction_id"], row["answer"]) for row in stored(store)] == [("a", "1"), ("b", "2"), ("c", "5")]


@pytest.mark.parametrize("by", ["entity", "request_id"])
def test_a_label_moves_to_the_row_that_fits_it_better(store: Store, by: str) -> None:
    shared = {name: value for name, value in prediction("a", at=5.0).items() if name not in ("prediction_id", by) and value is not None}
    with store.write() as conn:
        log.insert_predictions(conn, [prediction("old", at=1.0, **{by: "x"})])
        log.insert_labels(conn, [label("l", value="yes", **{by: "x"}, event_at=9.0)])
        joins.resolve_labels(conn, now=10.0, expire={})
        log.insert_prediction_columns(conn, shared, {"prediction_id": ["other", "new"], by: [None, "x"]})
        assert conn.execute(select(labels.c.joined_id)).scalar() == "new"
