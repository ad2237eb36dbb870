"""What the checks find beyond the contract itself: planted faults, and rows that have none."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pandas import DataFrame

from treadle.data.validate import Finding, Report, check
from treadle.spec import Contract

FEATURES: list[dict[str, Any]] = [
    {"name": "age", "type": "integer", "min": 0, "max": 120},
    {"name": "income", "type": "number", "min": 0, "required": False},
    {"name": "plan", "type": "category", "categories": ["basic", "plus", "gold"]},
    {"name": "member", "type": "boolean"},
    {"name": "joined", "type": "date", "min": "2010-01-01"},
]
ROWS = 400


def contract(policy: dict[str, Any] | None = None, **interface: Any) -> Contract:
    content = {
        "task": "binary",
        "target": {"name": "left", "classes": ["no", "yes"]},
        "features": FEATURES,
        "entity": "person",
        "time": "seen",
        **interface,
    }
    return Contract.model_validate(
        {"name": "people", "data": [{"kind": "simulated"}], "interface": content, "policy": {"data": policy or {}}}
    )


@pytest.fixture
def people() -> DataFrame:
    """Return rows in which nothing is odd."""
    random = np.random.default_rng(3)
    return DataFrame(
        {
            "person": [f"p{number}" for number in range(ROWS)],
            "seen": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS), unit="h"),
            "age": random.integers(18, 90, ROWS),
            "income": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(3000, 500, ROWS).round(2)),
            "plan": random.choice(["basic", "plus", "gold"], ROWS),
            "member": random.random(ROWS) < 0.5,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, ROWS), unit="D"),
            "left": random.choice(["no", "yes"], ROWS, p=[0.7, 0.3]),
        }
    )


Plant = Callable[[DataFrame], DataFrame]


def found(report: Report, name: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.check == name]
    return finding


def far_income(frame: DataFrame) -> DataFrame:
    frame.loc[[7, 8], "income"] = [1e6, 2e6]
    return frame


def far_day(frame: DataFrame) -> DataFrame:
    frame.loc[9, "joined"] = pd.Timestamp("2099-12-31")
    return frame


def contradicting(frame: DataFrame) -> DataFrame:
    more = frame.head(30).assign(left=frame["left"].head(30).map({"no": "yes", "yes": "no"}), person="somebody")
    return pd.concat([frame, more])


FAULTS: list[tuple[str, str, str, Plant]] = [
    ("outliers", "income", "2 of 400 values are far from all others, above", far_income),
    ("outliers", "joined", "1 of 400 values are far from all others", far_day),
    ("constant", "plan", "plan: 100.00% of the rows have the value 'plus'", lambda frame: frame.assign(plan="plus")),
    ("constant", "income", "income: 100.00% of the rows have the value missing", lambda frame: frame.assign(income=np.nan)),
    ("mostly missing", "income", "missing, more than 50%", lambda frame: frame.assign(income=frame["income"].where(frame.index < 100))),
    ("duplicates", "*", "3 of 403 rows repeat an earlier row (rows 400, 401, 402)", lambda frame: pd.concat([frame, frame.head(3)])),
    ("contradictions", "*", "60 of 430 rows equal another one in every feature and differ from it in left", contradicting),
    (
        "entity",
        "person",
        "1 of 400 rows have no person (row 5)",
        lambda frame: frame.assign(person=frame["person"].where(frame.index != 5)),
    ),
    ("correlation", "age, income", "age and income say the same", lambda frame: frame.assign(income=frame["age"] ** 2.0)),
    (
        "correlation",
        "plan, member",
        "plan and member say the same",
        lambda frame: frame.assign(member=frame["plan"] == "plus").query("plan != 'gold'"),
    ),
    (
        "correlation",
        "age, plan",
        "age and plan say the same",
        lambda frame: frame.assign(age=frame["plan"].map({"basic": 1, "plus": 2, "gold": 3})),
    ),
    (
        "leak",
        "age",
        "age alone tells left: its score is 1.000",
        lambda frame: frame.assign(age=np.where(frame["left"] == "yes", 60, 30) + frame["age"] % 20),
    ),
    ("leak", "member", "member alone tells left", lambda frame: frame.assign(member=frame["left"] == "yes")),
    (
        "columns",
        "shoe_size",
        "shoe_size: the contract names no such column; it looks like whole numbers",
        lambda frame: frame.assign(shoe_size=42),
    ),
]


@pytest.mark.parametrize(("name", "column", "said", "plant"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_planted_fault_is_found_and_is_a_warning(people: DataFrame, name: str, column: str, said: str, plant: Plant) -> None:
    report = check(contract(), plant(people))
    (finding,) = [finding for finding in report.findings if (finding.check, finding.column) == (name, column)]
    assert said in finding.message
    assert finding.severity == "warning"
    assert finding.advice
    assert report.passed


@pytest.mark.parametrize(("name", "column", "said", "plant"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_policy_makes_it_an_error_or_nothing(people: DataFrame, name: str, column: str, said: str, plant: Plant) -> None:
    key, bad = {"mostly missing": "missing"}.get(name, name), plant(people)
    strict = check(contract({key: {"severity": "error"}}), bad)
    assert (name, column) in {(problem.check, problem.column) for problem in strict.problems}
    silent = check(contract({key: {"severity": "off"}}), bad)
    assert (name, column) not in {(finding.check, finding.column) for finding in silent.findings}


def test_rows_do_not_contradict_each_other_because_a_column_is_gone(people: DataFrame) -> None:
    bare = people.drop(columns=["age", "income", "joined"])
    assert {finding.check for finding in check(contract(), bare).findings} == {"present"}


def test_rows_without_a_fault_are_told_nothing_of(people: DataFrame) -> None:
    report = check(contract(), people)
    assert (report.findings, report.passed, report.rows) == ((), True, ROWS)
    assert {asked.check for asked in report.asked} >= {"contract", "outliers", "leak", "range"}
    assert all(asked.findings == 0 for asked in report.asked)


@pytest.mark.parametrize(
    ("policy", "plant"),
    [
        ({"outliers": {"limit": 0.01}}, far_income),
        ({"outliers": {"reach": 10_000}}, far_income),
        ({"duplicates": {"limit": 0.01}}, lambda frame: pd.concat([frame, frame.head(3)])),
        ({"contradictions": {"limit": 0.2}}, contradicting),
        ({"missing": {"limit": 0.9}}, lambda frame: frame.assign(income=frame["income"].where(frame.index < 100))),
        ({"columns": {"ignore": ["shoe_size"]}}, lambda frame: frame.assign(shoe_size=42)),
    ],
)
def test_up_to_its_limit_nothing_is_said(people: DataFrame, policy: dict[str, Any], plant: Plant) -> None:
    assert check(contract(policy), plant(people)).findings == ()


def test_range_and_categories_are_errors_unless_the_policy_says_otherwise(people: DataFrame) -> None:
    people.loc[3, "age"], people.loc[4, "plan"], people.loc[5, "joined"] = 130, "silver", pd.Timestamp("1900-01-01")
    assert {problem.check for problem in check(contract(), people).problems} == {"max", "category", "min"}
    lenient = check(contract({"range": {"severity": "warning"}, "categories": {"severity": "warning"}}), people)
    assert {warning.check for warning in lenient.warnings} == {"max", "category", "min"}
    assert lenient.passed
    tolerant = check(contract({"range": {"limit": 0.01}, "categories": {"limit": 0.01}}), people)
    assert tolerant.findings == ()


def test_long_tails_are_no_outliers_but_a_slip_of_the_pen_among_them_is(people: DataFrame) -> None:
    people["income"] = np.random.default_rng(1).lognormal(8, 1, ROWS)
    assert check(contract(), people).findings == ()
    people["income"] *= np.where(people.index == 3, 1e6, 1.0)
    assert found(check(contract(), people), "outliers").rows == (3,)


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_a_leak_of_a_regression_is_found_whatever_its_form(people: DataFrame, factor: float) -> None:
    price = np.random.default_rng(5).normal(size=ROWS)
    frame = people.assign(left=price, income=np.exp(factor * price))
    report = check(contract(task="regression", target={"name": "left"}), frame)
    assert found(report, "leak").column == "income"
    noisy = frame.assign(income=np.exp(price + np.random.default_rng(6).normal(size=ROWS)))
    assert check(contract(task="regression", target={"name": "left"}), noisy).findings == ()


def test_a_rare_class_is_no_reason_to_see_leaks(people: DataFrame) -> None:
    people["left"] = np.where(people.index % 50 == 0, "yes", "no")
    report = check(contract(), people)
    assert report.findings == ()
    leaking = check(contract(), people.assign(age=np.where(people["left"] == "yes", 99, people["age"])))
    assert found(leaking, "leak").column == "age"


class TestFreshness:
    NOW = pd.Timestamp("2026-02-01").timestamp()

    def test_nobody_asks_without_a_limit_or_a_clock(self, people: DataFrame) -> None:
        assert check(contract(), people, now=self.NOW).findings == ()
        assert check(contract({"freshness": {"limit": "1d"}}), people).findings == ()

    def test_old_rows_are_told_of(self, people: DataFrame) -> None:
        report = check(contract({"freshness": {"limit": "7d", "severity": "error"}}), people, now=self.NOW)
        assert (
            found(report, "freshness").message == "seen: the newest row is from 2026-01-17 15:00, 14.4 days ago; at most 7 days is allowed"
        )
        assert not report.passed
        assert check(contract({"freshness": {"limit": "15d"}}), people, now=self.NOW).findings == ()

    def test_texts_can_be_times_and_numbers_cannot(self, people: DataFrame) -> None:
        policy = {"freshness": {"limit": "15d"}}
        assert check(contract(policy), people.assign(seen=people["seen"].dt.strftime("%Y-%m-%dT%H:%M:%S")), now=self.NOW).findings == ()
        told = found(check(contract(policy), people.assign(seen=np.arange(ROWS)), now=self.NOW), "freshness")
        assert "no value can be read as a date or time" in told.message


class TestChangedColumns:
    @pytest.mark.parametrize("name", ["Income (EUR)", "INCOME", "yearlyIncome", "incomes"])
    def test_a_renamed_column_is_recognised(self, people: DataFrame, name: str) -> None:
        report = check(contract(), people.rename(columns={"income": name}))
        (problem,) = report.findings
        assert problem.message == f"income: there is no such column; {name} looks like it"
        assert f'frame = frame.rename(columns={{"{name}": "income"}})' in problem.edit

    @pytest.mark.parametrize("change", [{"income_band": "high"}, {"postcode": 4711.0}, {"income_debt": -5.0}])
    def test_another_column_is_not_taken_for_it(self, people: DataFrame, change: dict[str, Any]) -> None:
        report = check(contract(), people.drop(columns="income").assign(**change))
        assert found(report, "present").message == "income: there is no such column"
        assert found(report, "columns").column == next(iter(change))

    def test_a_renamed_target_is_recognised_by_its_classes(self, people: DataFrame) -> None:
        assert "Has Left looks like it" in found(check(contract(), people.rename(columns={"left": "Has Left"})), "present").message
        other = people.drop(columns="left").assign(**{"Has Left": "perhaps"})
        assert "looks like" not in found(check(contract(), other), "present").message

    @pytest.mark.parametrize(
        ("values", "feature"),
        [
            ([1, 2] * 200, {"type": "integer", "min": 1, "max": 2}),
            ([0.5, 512.3] * 200, {"type": "number", "min": 0.5, "max": 513}),
            ([2**30, 0] * 200, {"type": "number", "min": 0, "max": 2**30}),
            ([True, None] * 200, {"type": "boolean", "required": False}),
            (["yes", "no"] * 200, {"type": "category", "categories": ["no", "yes"]}),
            ([pd.Timestamp("2026-01-02")] * 400, {"type": "date", "min": "2026-01-02", "max": "2026-01-02"}),
            ([f"a{number}" for number in range(400)], None),
            ([None] * 400, None),
            ([np.inf] * 400, None),
        ],
    )
    def test_a_new_column_comes_with_the_yaml_that_adds_it(
        self, people: DataFrame, values: list[Any], feature: dict[str, Any] | None
    ) -> None:
        edit = found(check(contract({"constant": {"severity": "off"}}), people.assign(fresh=values)), "columns").edit
        if feature is None:
            assert edit == ""
            return
        (told,) = yaml.safe_load(edit)["interface"]["features"]
        assert {key: str(value) if key in {"min", "max"} and feature["type"] == "date" else value for key, value in told.items()} == {
            "name": "fresh",
            **feature,
        }

    @pytest.mark.parametrize("name", ["score", " padded"])
    def test_a_column_that_cannot_be_a_feature_gets_no_yaml(self, people: DataFrame, name: str) -> None:
        told = found(check(contract(), people.assign(**{name: 1})), "columns")
        assert told.edit == "" or name == "score"

    def test_what_passes_the_contract_comes_with_the_yaml_that_allows_it(self, people: DataFrame) -> None:
        people.loc[3, "age"], people.loc[4, "plan"], people.loc[5, "joined"] = 130, "silver", pd.Timestamp("2001-02-03")
        edits = {problem.check: problem.edit for problem in check(contract(), people).problems}
        features = {feature["name"]: feature for edit in edits.values() for feature in yaml.safe_load(edit)["interface"]["features"]}
        changed = contract(features=[features.get(feature["name"], feature) for feature in FEATURES])
        assert check(changed, people).problems == ()
        assert "# max was 120" in edits["max"]
        assert "# new: silver" in edits["category"]
        assert "# min was 2010-01-01" in edits["min"]


def test_two_columns_of_one_name_are_refused(people: DataFrame) -> None:
    (problem,) = check(contract(), pd.concat([people, people[["age"]]], axis=1)).problems
    assert problem.message == "age: two columns bear this name"


def test_names_that_are_no_texts_and_values_that_cannot_be_compared_are_bearable(people: DataFrame) -> None:
    report = check(contract(), people.assign(lists=pd.Series([[1]] * ROWS, dtype=object)).rename(columns={"lists": 7}))
    assert found(report, "columns").column == "7"


@pytest.mark.parametrize("value", ["2026-01-02", pd.Timestamp("2026-01-02 13:00"), pd.Timestamp("2026-01-02").date()])
def test_a_day_may_be_a_text_or_a_time(people: DataFrame, value: Any) -> None:
    assert check(contract(), people.assign(joined=[value] * ROWS)).problems == ()


def test_a_day_beyond_all_clocks_is_a_day(people: DataFrame) -> None:
    people["joined"] = people["joined"].dt.strftime("%Y-%m-%d")
    people.loc[3, "joined"] = "9999-12-31"
    told = found(check(contract(), people), "outliers")
    assert told.rows == (3,)
    assert "such as '9999-12-31'" in told.message


@pytest.mark.parametrize("value", ["2nd of January", 20_000, "2026-13-01"])
def test_what_is_no_day_is_named(people: DataFrame, value: Any) -> None:
    people["joined"] = people["joined"].astype(object)
    people.loc[3, "joined"] = value
    problem = found(check(contract(), people), "type")
    assert problem.message == f"joined: 1 of 400 values are no dates, such as {value!r} (row 3)"


def test_a_column_is_described(people: DataFrame) -> None:
    described = {column.name: column for column in check(contract(), people).columns}
    assert list(described)[:5] == [feature["name"] for feature in FEATURES]
    assert [described[name].part for name in ("age", "left", "person", "seen")] == ["feature", "target", "entity", "time"]
    age = described["age"]
    assert (age.type, age.missing, sum(bar.count for bar in age.bars)) == ("integer", 0.0, ROWS)
    assert described["income"].missing == pytest.approx(people["income"].isna().mean())
    assert {bar.label: bar.count for bar in described["plan"].bars} == people["plan"].value_counts().to_dict()
    first, _, last = described["joined"].spread or ("", "", "")
    assert (first, last) == (str(people["joined"].min().date()), str(people["joined"].max().date()))
    assert described["person"].bars == ()
    assert described["left"].score is None
    assert 0 <= (age.score or 0) < 0.3


ODD: dict[str, Callable[[], Any]] = {
    "nothing": lambda: pd.Series([None] * 60, dtype=object),
    "no times": lambda: pd.Series([pd.NaT] * 60),
    "a category type": lambda: pd.Series(["basic", "odd", None] * 20, dtype="category"),
    "arrow texts": lambda: pd.Series(["basic", "plus", None] * 20, dtype="string[pyarrow]"),
    "whole numbers with gaps": lambda: pd.Series([1, None, 3] * 20, dtype="Int64"),
    "times of a zone": lambda: pd.Series(pd.date_range("2026", periods=60, tz="Europe/Berlin")),
    "lengths of time": lambda: pd.Series(pd.to_timedelta(np.arange(60), unit="h")),
    "periods": lambda: pd.Series(pd.period_range("2026", periods=60, freq="D")),
    "intervals": lambda: pd.Series(pd.interval_range(0, 60)),
    "complex numbers": lambda: pd.Series(np.arange(60) + 1j),
    "sparse numbers": lambda: pd.Series(pd.arrays.SparseArray([0.0, 1.0] * 30)),
    "endless numbers": lambda: pd.Series([np.inf, -np.inf, np.nan, 1.0] * 15),
    "anything": lambda: pd.Series([["a"], {"b": 1}, 10**30, b"x", Decimal("1.5"), True, 3, "3", None, 2 + 3j] * 6, dtype=object),
}


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("kind", ODD)
def test_whatever_a_column_holds_there_is_an_answer(people: DataFrame, kind: str, task: str) -> None:
    rules = [{"rule": "income > age or member and plan != 'plus'"}, {"rule": "joined <= seen or person == 'p1'"}]
    target = {"task": task, "target": {"name": "left"}} if task == "regression" else {}
    policy = {"freshness": {"limit": "1d"}, "rules": rules}
    frame = people.head(60)
    for name in frame.columns:
        assert check(contract(policy, **target), frame.assign(**{name: ODD[kind]()}), now=1e9).rows == 60
    assert not check(contract(policy, **target), DataFrame(dict.fromkeys(frame.columns, ODD[kind]())), now=1e9).passed
