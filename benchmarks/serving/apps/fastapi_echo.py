"""The yardstick: FastAPI with a pydantic model in and out, and no model behind it."""

from fastapi import FastAPI

from benchmarks.serving.apps.rows import Row, Rows

app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> Row:
    """Give the row back."""
    return row


@app.post("/batch")
async def batch(rows: Rows) -> Rows:
    """Give the rows back."""
    return rows
