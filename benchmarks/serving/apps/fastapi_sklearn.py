"""The service that most people write first: FastAPI in front of scikit-learn, predict and predict_proba."""

import os

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.apps.rows import Row, Rows
from benchmarks.serving.apps.scores import FILE

forest = joblib.load(os.environ[FILE])


class Answers(BaseModel):
    """The classes, as positions, and how likely each class is."""

    classes: list[int]
    probabilities: list[list[float]]


app = FastAPI()


def answered(rows: list[Row]) -> Answers:
    """Ask the forest twice, as the two things that a caller wants are two methods of it."""
    values = [[row.sepal_length, row.sepal_width, row.petal_length, row.petal_width] for row in rows]
    return Answers(classes=forest.predict(values).tolist(), probabilities=forest.predict_proba(values).tolist())


@app.post("/predict")
def predict(row: Row) -> Answers:
    """Answer one row."""
    return answered([row])


@app.post("/batch")
def batch(rows: Rows) -> Answers:
    """Answer many rows."""
    return answered(rows.rows)
