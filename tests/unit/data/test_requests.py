"""What a cell means is what the contract says of its column."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from treadle.data.files import Problem
from treadle.data.requests import Requests
from treadle.spec import Interface

INTERFACE = Interface.model_validate(
    {
        "task": "binary",
        "target": {"name": "left", "classes": ["no", "yes"]},
        "entity": "person",
        "features": [
            {"name": "age", "type": "integer", "min": 0, "max": 120},
            {"name": "income", "type": "number", "required": False},
            {"name": "plan", "type": "category", "categories": ["basic", "plus", "None", "1"], "required": False},
            {"name": "member", "type": "boolean", "required": False},
            {"name": "since", "type": "date", "required": False},
        ],
    }
)


def read(cells: dict[str, Any], decimal: str = ".") -> tuple[dict[str, Any], list[Problem]]:
    return Requests(INTERFACE, decimal=decimal).read({"age": 1, **cells})


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("age", "42", 42),
        ("age", " 42 ", 42),
        ("age", 42.0, 42),
        ("age", np.int64(42), 42),
        ("income", "1e3", 1000),
        ("income", Decimal("12.50"), 12.5),
        ("income", np.float32(1.5), 1.5),
        ("income", "NaN", None),
        ("income", float("nan"), None),
        ("income", pd.NA, None),
        ("income", None, None),
        ("plan", "plus", "plus"),
        ("plan", "None", "None"),
        ("plan", "n/a", None),
        ("plan", "gold", "gold"),
        ("plan", 1, "1"),
        ("plan", 1.0, "1"),
        ("member", "TRUE", True),
        ("member", "0", False),
        ("member", np.True_, True),
        ("member", 1.0, True),
        ("member", "", None),
        ("since", "2026-11-21", "2026-11-21"),
        ("since", "2026-11-21 10:00:00", "2026-11-21"),
        ("since", date(2026, 11, 21), "2026-11-21"),
        ("since", datetime(2026, 11, 21, 10), "2026-11-21"),  # noqa: DTZ001 -- as a Parquet file holds it
        ("since", pd.Timestamp("2026-11-21"), "2026-11-21"),
        ("since", pd.NaT, None),
    ],
)
def test_a_cell_becomes_a_value_of_its_column(name: str, cell: object, value: object) -> None:
    payload, problems = read({name: cell})
    assert (payload[name], type(payload[name]) is bool, problems) == (value, type(value) is bool, [])


@pytest.mark.parametrize(("cell", "value"), [("1.234,5", 1234.5), ("3,5", 3.5), ("1.234", 1234), ("3.5", 3.5)])
def test_a_number_may_have_a_decimal_comma(cell: str, value: float) -> None:
    assert read({"income": cell}, ",")[0]["income"] == value


@pytest.mark.parametrize(
    ("name", "cell", "shown", "allowed"),
    [
        ("age", "old", "old", "a whole number from 0 to 120"),
        ("age", "1_000", "1_000", "a whole number from 0 to 120"),
        ("age", "inf", "inf", "a whole number from 0 to 120"),
        ("age", True, "True", "a whole number from 0 to 120"),
        ("age", "", "", "a whole number from 0 to 120; it is required"),
        ("age", None, "", "a whole number from 0 to 120; it is required"),
        ("member", "yes", "yes", "true or false, or null"),
        ("since", "21.11.2026", "21.11.2026", None),
        ("income", date(2026, 1, 1), "2026-01-01", None),
    ],
)
def test_a_cell_that_means_nothing_is_named_with_what_is_allowed(name: str, cell: object, shown: str, allowed: str | None) -> None:
    (problem,) = read({name: cell})[1]
    assert (problem.column, problem.value) == (name, shown)
    assert allowed is None or problem.allowed == allowed


def test_the_entity_goes_along_and_other_columns_stay() -> None:
    assert read({"person": 17.0, "left": "yes", "note": "x"})[0] == {
        "age": 1,
        "income": None,
        "plan": None,
        "member": None,
        "since": None,
        "person": "17",
    }
    requests = Requests(INTERFACE)
    assert requests.left_out(["age", "person", "left", "note"]) == ["left", "note"]
    assert requests.absent(["income", "plan"]) == ["age"]
