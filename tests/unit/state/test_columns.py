"""Rows that are inserted by column are what they would be row by row."""

import math
import time
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from tests.unit.state.rows import label, prediction
from treadle.state import columns, joins, log
from treadle.state.columns import insert_columns
from treadle.state.schema import labels, predictions
from treadle.state.store import Store

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
"""Postgres has no text with a NUL in it, and no encoding a lone surrogate."""
rows = st.fixed_dictionaries(
    {
        "version": st.integers(-(2**63), 2**63 - 1) | st.just(7),
        "at": st.floats(1.7e9, 1.9e9) | st.floats(allow_nan=False),
        "seconds": st.integers(0, 10**6).map(lambda ticks: ticks * 2.0**-40),
        "fallback": st.booleans(),
        "request_id": st.none() | texts,
        "entity": st.none() | texts | st.just("same"),
        "row": st.none() | st.binary(max_size=40) | st.just(b"\0" * 8),
        "scores": st.binary(min_size=8, max_size=8),
        "answer": texts,
    }
)


def by_column(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def stored(store: Store) -> list[dict[str, Any]]:
    with store.read() as conn:
        found = conn.execute(select(predictions).order_by(predictions.c.prediction_id)).mappings()
        return [dict(row) for row in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(rows, min_size=1, max_size=30))
def test_what_is_inserted_by_column_is_what_was_given(store: Store, given: list[dict[str, Any]]) -> None:
    whole = [prediction(str(uuid.UUID(int=number)), **row) for number, row in enumerate(given)]
    with store.write() as conn:
        conn.execute(delete(predictions))
        insert_columns(conn, predictions, by_column(whole))
    assert stored(store) == whole


@given(fields=st.lists(st.floats(1.7e9, 1.9e9) | st.floats(0, 1e300) | st.floats(0, 1).map(lambda part: part * 2.0**-30), min_size=2))
def test_floats_are_written_exactly_or_not_at_all(fields: list[float]) -> None:
    written = columns._floats("at", fields)  # noqa: SLF001 - which way a column goes shows nowhere else
    if written is not None:
        unit, digits = written.parameters["at_unit"], written.parameters["at"].decode()
        assert [int(digits[start : start + 20]) * unit for start in range(0, len(digits), 20)] == fields


@pytest.mark.parametrize("fields", [[math.inf, 1e300], [1e300, -math.inf], [math.nan, 1.0], [5e-324, 0.0], [1e120, 1e-223]])
def test_what_no_multiple_can_say_is_not_written(fields: list[float]) -> None:
    assert columns._floats("at", fields) is None  # noqa: SLF001


def test_times_of_the_clock_are_written() -> None:
    now, tick = time.time(), time.perf_counter()
    assert columns._floats("at", [now + step * 1e-5 for step in range(500)]) is not None  # noqa: SLF001
    assert columns._floats("seconds", [time.perf_counter() - tick for _ in range(500)]) is not None  # noqa: SLF001


def test_a_key_that_is_there_already_is_skipped(store: Store) -> None:
    for answers in (["1", "2"], ["3", "4", "5"]):
        whole = [prediction(name, answer=answer) for name, answer in zip("abc", answers, strict=False)]
        with store.write() as conn:
            insert_columns(conn, predictions, by_column(whole))
    assert [(row["prediction_id"], row["answer"]) for row in stored(store)] == [("a", "1"), ("b", "2"), ("c", "5")]


@pytest.mark.parametrize("by", ["entity", "request_id"])
def test_a_label_moves_to_the_row_that_fits_it_better(store: Store, by: str) -> None:
    with store.write() as conn:
        log.insert_predictions(conn, [prediction("old", at=1.0, **{by: "x"})])
        log.insert_labels(conn, [label("l", value="yes", **{by: "x"}, event_at=9.0)])
        joins.resolve_labels(conn, now=10.0, expire={})
        newer = [prediction("other", at=6.0), prediction("new", at=5.0, **{by: "x"}), prediction("another", model="m", **{by: "x"})]
        log.insert_prediction_columns(conn, by_column(newer))
        assert conn.execute(select(labels.c.joined_id)).scalar() == "new"
