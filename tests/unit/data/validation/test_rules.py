"""Rules over several columns: which rows break them, whatever is missing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from treadle.data.validate import Finding, check
from treadle.spec import Contract

FEATURES: list[dict[str, Any]] = [
    {"name": "total", "type": "number", "required": False},
    {"name": "Price (EUR)", "type": "number", "required": False},
    {"name": "plan", "type": "category", "categories": ["basic", "plus"], "required": False},
    {"name": "trial", "type": "boolean", "required": False},
    {"name": "start", "type": "date", "required": False},
    {"name": "end", "type": "date", "required": False},
]


def broken(rule: str, frame: DataFrame, **more: Any) -> list[Finding]:
    policy = {"data": {"rules": [{"rule": rule, **more}]}}
    interface = {"task": "regression", "target": {"name": "paid"}, "features": FEATURES, "entity": "who"}
    contract = Contract.model_validate({"name": "bills", "data": [{"kind": "simulated"}], "interface": interface, "policy": policy})
    return [finding for finding in check(contract, frame).findings if finding.check.startswith("rule")]


def bills() -> DataFrame:
    return DataFrame(
        {
            "total": [10.0, 20.0, np.nan, 0.0],
            "Price (EUR)": [5.0, 30.0, 1.0, 0.0],
            "plan": ["basic", "plus", None, "basic"],
            "trial": pd.array([True, False, None, False], dtype="boolean"),
            "start": pd.to_datetime(["2026-01-01", "2026-01-31", "2026-03-01", "NaT"]),
            "end": ["2026-02-01", "2026-01-01", "2026-03-01", "2026-05-01"],
            "who": [1, 2, 3, 4],
            "paid": [1.0, 2.0, 3.0, 4.0],
        }
    )


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("total >= `Price (EUR)`", (1,)),
        ("total >= `Price (EUR)` or plan == 'plus'", ()),
        ("total is not null", (2,)),
        ("total is null or total > 0", (3,)),
        ("not trial", (0,)),
        ("total < 15 and `Price (EUR)` > 3", (1, 2, 3)),  # false and unknown is false
        ("trial == true or total > 15", (3,)),
        ("trial", (1, 3)),
        ("plan in ('basic', 'gold')", (1,)),
        ("plan not in ('basic')", (0, 3)),
        ("plan != 'plus' and total < 15", (1,)),
        ("total / `Price (EUR)` >= 1", (1,)),
        ("abs(total - `Price (EUR)`) <= 5", (1,)),
        ("-total <= 0", ()),
        ("end >= start", (1,)),
        ("0 <= end - start <= 30", (0, 1)),
        ("start < '2026-02-01'", (2,)),
        ("end <= start + 31", ()),
        ("paid * 2 + 1 < 9", (3,)),
        ("who != '3'", (2,)),
    ],
)
def test_the_rows_that_surely_break_a_rule_are_found(rule: str, rows: tuple[int, ...]) -> None:
    findings = broken(rule, bills())
    assert tuple(row for finding in findings for row in finding.rows) == rows
    assert all(finding.severity == "warning" for finding in findings)


def test_what_is_said_names_rule_row_values_and_reason() -> None:
    (finding,) = broken("total >= `Price (EUR)`", bills(), severity="error", reason="A bill covers its price.")
    assert finding.severity == "error"
    assert finding.column == "total, Price (EUR)"
    assert finding.message == (
        "total >= `Price (EUR)`: 1 of 4 rows break this rule, such as total 20.0, Price (EUR) 30.0 (row 1). A bill covers its price."
    )


def test_a_rule_that_is_off_or_about_a_column_that_is_gone_says_nothing() -> None:
    assert broken("total > 1000", bills(), severity="off") == []
    assert broken("total > 1000", bills().drop(columns="total")) == []


def test_a_rule_about_dates_that_are_none_says_so() -> None:
    (finding,) = broken("end >= start", bills().assign(end=[1, 2, 3, 4]))
    assert (finding.check, finding.message) == ("rule unusable", "end >= start: end holds no dates")


def test_each_rule_is_listed_with_how_often_it_was_broken() -> None:
    interface = {"task": "regression", "target": {"name": "paid"}, "features": FEATURES}
    policy = {"data": {"rules": [{"rule": "total > 5"}, {"rule": "total >= 0"}]}}
    contract = Contract.model_validate({"name": "bills", "data": [{"kind": "simulated"}], "interface": interface, "policy": policy})
    asked = {one.check: one.findings for one in check(contract, bills()).asked}
    assert (asked["total > 5"], asked["total >= 0"]) == (1, 0)
