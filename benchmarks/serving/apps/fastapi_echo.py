"""The yardstick: FastAPI with a pydantic model in and out, and no model behind it."""

from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    """One flower."""

    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Rows(BaseModel):
    """Many flowers."""

    rows: list[Row]


app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> Row:
    """Give the row back."""
    return row


@app.post("/batch")
async def batch(rows: Rows) -> Rows:
    """Give the rows back."""
    return rows
