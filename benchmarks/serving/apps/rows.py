"""What both FastAPI services take, as pydantic models."""

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
