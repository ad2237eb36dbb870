"""Rows of the log for tests, and by what rule they belong together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from treadle.state import schema

Row = Mapping[str, Any]


def prediction(prediction_id: str, **other: Any) -> dict[str, Any]:
    """Return a row of ``predictions`` with three features and two scores, which ``other`` may change."""
    row = {
        "prediction_id": prediction_id,
        "model": "churn",
        "version": 1,
        "digest": "d",
        "generation": 1,
        "role": "champion",
        "at": 1.0,
        "seconds": 0.25,
        "status": "ok",
        "error": None,
        "request_id": None,
        "entity": None,
        "row": np.array([1.0, 2.5, np.nan], dtype="<f4").tobytes(),
        "scores": np.array([0.25, 0.75], dtype="<f4").tobytes(),
        "answer": '{"prediction":"Yes"}',
        "fallback": False,
    }
    return row | other


def label(label_id: str, **other: Any) -> dict[str, Any]:
    """Return a row of ``labels``, which ``other`` may change."""
    row = {
        "label_id": label_id,
        "model": "churn",
        "prediction_id": None,
        "request_id": None,
        "entity": None,
        "value": "Yes",
        "event_at": 50.0,
        "received_at": 60.0,
    }
    return row | other


def joined(conn: Connection, model: str = "churn") -> dict[str, str | None]:
    """Return the prediction of each label."""
    columns = schema.labels.c
    rows = conn.execute(select(columns.label_id, columns.joined_id).where(columns.model == model))
    return {row.label_id: row.joined_id for row in rows}


def expected(rows: Sequence[Row]) -> dict[str, str | None]:
    """Say by the rule alone which prediction each label belongs to."""
    predictions = [row for row in rows if "answer" in row]
    answered = sorted((row for row in predictions if row["status"] == "ok"), key=lambda row: (row["at"], row["prediction_id"]))
    result = {}
    for one in (row for row in rows if "value" in row):
        if one["prediction_id"] is not None:
            fitting = [row for row in predictions if row["prediction_id"] == one["prediction_id"]]
        elif one["request_id"] is not None:
            fitting = [row for row in answered if row["request_id"] == one["request_id"]]
        else:
            fitting = [row for row in answered if row["entity"] == one["entity"] and row["at"] <= one["event_at"]]
        result[one["label_id"]] = fitting[-1]["prediction_id"] if fitting else None
    return result
