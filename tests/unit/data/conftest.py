"""A small contract with a column of each kind, rows for it, and a project folder around both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame

from treadle.projects import Project
from treadle.spec import Contract

FEATURES: list[dict[str, Any]] = [
    {"name": "age", "type": "integer", "min": 0, "max": 120},
    {"name": "income", "type": "number", "min": 0, "required": False},
    {"name": "plan", "type": "category", "categories": ["basic", "plus"]},
    {"name": "member", "type": "boolean"},
]

Contracts = Callable[..., Contract]


@pytest.fixture
def contract() -> Contracts:
    """Return a function that makes a contract; arguments replace keys of the interface, ``data`` the sources."""

    def make(data: list[dict[str, Any]] | None = None, **interface: Any) -> Contract:
        content = {
            "task": "binary",
            "target": {"name": "left", "classes": ["no", "yes"]},
            "features": FEATURES,
            "entity": "person",
            **interface,
        }
        return Contract.model_validate({"name": "people", "data": data or [{"kind": "simulated"}], "interface": content})

    return make


@pytest.fixture
def people() -> DataFrame:
    """Return 200 valid rows of 100 persons."""
    random = np.random.default_rng(7)
    return DataFrame(
        {
            "person": [f"p{number % 100}" for number in range(200)],
            "age": random.integers(18, 90, 200),
            "income": np.where(random.random(200) < 0.1, np.nan, random.normal(3000, 500, 200).round(2)),
            "plan": random.choice(["basic", "plus"], 200),
            "member": random.random(200) < 0.5,
            "left": random.choice(["no", "yes"], 200, p=[0.7, 0.3]),
        }
    )


CODE = """
import pandas as pd

def load(path):
    return pd.read_csv(path) if path else pd.DataFrame({"age": [1, 2]})

def synthesize(rows, seed):
    return pd.DataFrame({"age": [seed] * rows})
"""


@pytest.fixture
def project(tmp_path: Path, contract: Contracts) -> Callable[..., Project]:
    """Return a function that makes a project with these sources."""

    def make(*data: dict[str, Any], code: str = CODE) -> Project:
        folder = tmp_path / "people"
        folder.mkdir(exist_ok=True)
        (folder / "model.py").write_text(code, encoding="utf-8")
        return Project(folder, contract(list(data)))

    return make


@pytest.fixture
def csv(people: DataFrame) -> bytes:
    """Return the rows as a CSV file."""
    return people.to_csv(index=False).encode()
