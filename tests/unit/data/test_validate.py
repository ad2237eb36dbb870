from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from tests.unit.data.conftest import Contracts
from treadle.data.validate import Finding, check, require_valid
from treadle.errors import DataInvalid


def only(problems: tuple[Finding, ...]) -> Finding:
    assert len(problems) == 1, problems
    return problems[0]


def test_valid_rows_have_no_problem(contract: Contracts, people: DataFrame) -> None:
    report = check(contract(), people)
    assert (report.rows, report.problems, report.warnings) == (200, (), ())


@pytest.mark.parametrize(
    ("column", "value", "name", "phrase"),
    [
        ("age", -1, "min", "below the smallest allowed value 0, such as -1"),
        ("age", 121, "max", "above the largest allowed value 120, such as 121"),
        ("age", 30.5, "whole", "not whole numbers, such as 30.5"),
        ("income", np.inf, "type", "not finite float32 numbers, such as inf"),
        ("income", 1e39, "type", "not finite float32 numbers"),
        ("income", "much", "type", "such as 'much'"),
        ("income", True, "type", "such as True"),
        ("plan", "gold", "category", "not among basic, plus, such as 'gold'"),
        ("member", 2, "type", "neither true nor false, such as 2"),
        ("age", None, "missing", "missing"),
        ("plan", None, "missing", "missing"),
        ("member", None, "missing", "missing"),
        ("left", None, "missing", "missing"),
        ("left", "maybe", "class", "not among no, yes"),
    ],
)
def test_a_bad_value_is_found_with_its_column_and_row(
    contract: Contracts, people: DataFrame, column: str, value: Any, name: str, phrase: str
) -> None:
    people[column] = people[column].astype(object)
    people.loc[17, column] = value
    problem = only(check(contract(), people).problems)
    assert (problem.check, problem.column, problem.rows, problem.count) == (name, column, (17,), 1)
    assert phrase in problem.message
    assert problem.message.startswith(f"{column}: 1 of 200 values are")
    assert "(row 17)" in problem.message


def test_rows_are_positions_whatever_the_index(contract: Contracts, people: DataFrame) -> None:
    people.loc[17, "age"] = -1
    people.index = pd.Index(range(1000, 1200))
    assert only(check(contract(), people).problems).rows == (17,)


def test_a_whole_number_beyond_float32_is_found(contract: Contracts, people: DataFrame) -> None:
    features = [{"name": "age", "type": "integer"}]
    people.loc[3, "age"] = 2**24 + 1
    assert only(check(contract(features=features), people).problems).check == "float32"


def test_only_the_first_rows_are_named_but_all_are_counted(contract: Contracts, people: DataFrame) -> None:
    people.loc[10:59, "age"] = -1
    problem = only(check(contract(), people).problems)
    assert (problem.rows, problem.count) == ((10, 11, 12, 13, 14), 50)
    assert problem.message.endswith("(rows 10, 11, 12, 13, 14, …)")


def test_every_missing_column_is_named(contract: Contracts, people: DataFrame) -> None:
    report = check(contract(time="seen"), people.drop(columns=["age", "left", "person"]))
    assert {problem.column for problem in report.problems} == {"age", "left", "person", "seen"}
    assert {problem.check for problem in report.problems} == {"present"}


def test_an_optional_column_must_still_be_there(contract: Contracts, people: DataFrame) -> None:
    assert only(check(contract(), people.drop(columns="income")).problems).column == "income"


def test_no_rows_and_no_variety_are_problems(contract: Contracts, people: DataFrame) -> None:
    assert only(check(contract(), people.head(0)).problems).check == "empty"
    assert only(check(contract(), people.assign(left="no")).problems).message == "left: no row has the class yes"
    regression = contract(task="regression", target={"name": "left"})
    assert only(check(regression, people.assign(left=2.5)).problems).message == "left: every row has the value 2.5"
    assert check(regression, people.assign(left=np.arange(200))).problems == ()


def test_repeated_rows_and_absent_entities_are_warnings(contract: Contracts, people: DataFrame) -> None:
    people.loc[5, "person"] = None
    report = check(contract(), pd.concat([people, people.iloc[[7]]]))
    assert report.problems == ()
    assert [(warning.check, warning.rows, warning.count) for warning in report.warnings] == [("duplicates", (200,), 1), ("entity", (5,), 1)]


def test_invalid_rows_are_refused_with_every_problem(contract: Contracts, people: DataFrame) -> None:
    assert require_valid(contract(), people).rows == 200
    people.loc[3, "age"] = -1
    people.loc[4, "plan"] = "gold"
    with pytest.raises(DataInvalid) as caught:
        require_valid(contract(), people)
    assert [line.partition(":")[0] for line in caught.value.problems] == ["age", "plan"]
