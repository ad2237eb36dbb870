"""What a handle sends, and what it refuses to send because it would be another value; and what is no estimator at all."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from treadle.drafting.agreement import Agreement
from treadle.drafting.published import Published, payloads
from treadle.drafting.taken import Taken, taken
from treadle.errors import NotAskable, NotPublishable
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Interface, NumberFeature, Target

INTERFACE = Interface(
    task="regression",
    target=Target(name="y"),
    features=(
        NumberFeature(name="age", type="integer", min=0, max=100),
        NumberFeature(name="income", type="number", min=0, max=1000, required=False),
        CategoryFeature(name="plan", type="category", categories=("1", "2")),
        BooleanFeature(name="vip", type="boolean"),
        DateFeature(name="since", type="date", min=date(2000, 1, 1), max=date(2030, 1, 1)),
    ),
)
GOOD: dict[str, Any] = {"age": 12, "income": 1.5, "plan": "1", "vip": True, "since": pd.Timestamp("2020-02-03")}


def test_values_of_the_right_kind_are_sent_as_they_are() -> None:
    rows = pd.DataFrame([GOOD, GOOD | {"age": 13.0, "income": np.nan, "vip": False}])
    assert payloads(INTERFACE, rows) == [
        {"age": 12, "income": 1.5, "plan": "1", "vip": True, "since": "2020-02-03"},
        {"age": 13, "income": None, "plan": "1", "vip": False, "since": "2020-02-03"},
    ]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("age", 12.7, "12.7"),
        ("age", "12", "'12'"),
        ("age", True, "True"),
        ("income", "much", "'much'"),
        ("income", np.inf, "inf"),
        ("income", False, "False"),
        ("plan", 1, "1"),
        ("vip", 3, "3"),
        ("vip", "yes", "'yes'"),
        ("since", 3, "3"),
        ("since", "2020-02-03", "'2020-02-03'"),
    ],
)
def test_a_value_is_refused_rather_than_changed(column: str, value: object, said: str) -> None:
    rows = pd.DataFrame([GOOD, GOOD]).astype(object)
    rows[column] = [GOOD[column], value]
    with pytest.raises(NotAskable) as caught:
        payloads(INTERFACE, rows)
    (problem,) = caught.value.problems
    assert problem.startswith(f"row 1: {column} is {said}; allowed: ")


def fitted() -> tuple[LogisticRegression, pd.DataFrame, np.ndarray]:
    table = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 3})
    answers = np.where(table["a"] > 20, "stays", "goes")
    return LogisticRegression().fit(table, answers), table, answers


def test_a_missing_column_is_said_of_what_was_asked(tmp_path: Path) -> None:
    model, table, answers = fitted()
    found: Taken = taken(model, table, answers)
    handle = Published("m", 1, tmp_path, "http://127.0.0.1:1", Agreement(40, 0, 0.0), model, found, tmp_path)
    with pytest.raises(NotAskable, match="This cannot be asked: X lacks the columns b"):
        handle.predict(table[["a"]])


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ({"a": 1}, "this is a dict, not a classifier or regressor"),
        ("model.pkl", "this is a str"),
        (LogisticRegression, "this is the class LogisticRegression"),
        (StandardScaler(), "this is a StandardScaler"),
    ],
)
def test_what_is_no_estimator_is_named(thing: object, said: str) -> None:
    _, table, answers = fitted()
    with pytest.raises(NotPublishable, match=said):
        taken(thing, table, answers)


@pytest.mark.parametrize(("positive", "fix"), [("stay", "Did you mean 'stays'?"), ("zzz", "Choose from 'goes', 'stays'.")])
def test_a_positive_class_that_there_is_not_is_met_with_those_there_are(positive: str, fix: str) -> None:
    with pytest.raises(NotPublishable, match="is none of its classes") as caught:
        taken(*fitted(), positive=positive)
    assert caught.value.fix == fix
