"""Each thing that hurts, one by one: a column of it beside a harmless one, and what is assumed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from treadle.drafting.asked import Asked
from treadle.drafting.guess import Assumptions, Column, guess
from treadle.errors import NothingToLearnFrom, TargetNotFound, TargetNotNamed, TargetUnusable, TooFewRows, TwoTargets
from treadle.spec import CategoryFeature, DateFeature, NumberFeature

ROWS = 400
RANDOM = np.random.default_rng(3)
ASKED = Asked("model", "table.csv")
LEFT = np.where(RANDOM.random(ROWS) < 0.3, "yes", "no")
NOISE = RANDOM.permutation([f"{number / 7:.2f}" for number in range(ROWS)])


def table(**columns: Any) -> DataFrame:
    return DataFrame({"noise": NOISE, **columns, "left": LEFT})


def assume(frame: DataFrame, target: str = "left") -> Assumptions:
    return guess(frame, ASKED, [target])


def assumed(values: Any, name: str = "x") -> Column:
    """Return what is assumed of one column."""
    return next(column for column in assume(table(**{name: values})).columns if column.raw == name)


def some(*values: str) -> Any:
    return RANDOM.choice(values, ROWS)


def numbers(low: int = 0, high: int = 500) -> list[str]:
    return [str(number) for number in RANDOM.integers(low, high, ROWS)]


def test_a_number_gets_a_wider_range_and_an_example() -> None:
    column = assumed([f"{value:.1f}" for value in np.linspace(1, 99, ROWS)])
    assert isinstance(column.feature, NumberFeature)
    assert (column.feature.type, column.feature.min, column.feature.max, column.feature.required) == ("number", 0, 200, True)
    assert column.feature.example == 50.1


def test_whole_numbers_stay_whole_also_with_few_values() -> None:
    assert [assumed(values).feature.type for values in (numbers(), some("0", "1"), some("1", "2", "3", "4", "5"))] == ["integer"] * 3  # type: ignore[union-attr]


def test_whole_numbers_past_float32_become_numbers_and_that_is_said() -> None:
    column = assumed([str(20_000_000 + 977 * number) for number in RANDOM.integers(0, 300, ROWS)])
    assert column.feature is not None
    assert column.feature.type == "number"
    assert "the last digits are lost" in column.why


def test_missing_values_are_not_required() -> None:
    values = numbers()
    values[5], values[9] = "", "n/a"
    column = assumed(values)
    assert column.feature is not None
    assert not column.feature.required
    assert "missing in 0.5% of the rows" in column.why
    assert assume(table(x=values)).nothing == ("", "n/a")


def test_a_few_texts_among_numbers_count_as_missing() -> None:
    values = numbers()
    values[:8] = ["unknown"] * 8
    column = assumed(values)
    assert column.feature is not None
    assert (column.feature.type, column.feature.required) == ("integer", False)
    assert column.sight.stray == ("unknown",)


def test_many_texts_among_few_numbers_are_categories() -> None:
    column = assumed(some("1", "2", "3+"))
    assert isinstance(column.feature, CategoryFeature)
    assert column.feature.categories == ("1", "2", "3+")


def test_leading_zeros_make_a_code() -> None:
    column = assumed(some("007", "010", "099"))
    assert isinstance(column.feature, CategoryFeature)


def test_yes_and_no_are_a_truth() -> None:
    column = assumed(some("Ja", "Nein"))
    assert column.feature is not None
    assert column.feature.type == "boolean"
    assert column.sight.truths == {"Ja": True, "Nein": False}


def test_fifty_categories_are_all_kept() -> None:
    column = assumed([f"city {number % 50}" for number in range(ROWS)])
    assert isinstance(column.feature, CategoryFeature)
    assert len(column.feature.categories) == 50
    assert column.other == ""


def test_a_long_tail_becomes_other_and_that_is_said() -> None:
    column = assumed([f"city {number % 30}" if number < 330 else f"village {number}" for number in range(ROWS)])
    assert isinstance(column.feature, CategoryFeature)
    assert column.feature.categories[-1] == "other"
    assert column.other == "other"
    assert "every other is 'other'" in column.why


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["same"] * ROWS, "every row has the same value, 'same'"),
        ([""] * ROWS, "it is empty"),
        ([f"a note about case {number}" for number in range(ROWS)], "almost every row has its own text"),
        ([f"a long sentence that says the same in many words, number {number % 30}" for number in range(ROWS)], "prose"),
        ([[1, 2]] * ROWS, "lists"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_left_out(values: Any, why: str) -> None:
    column = assumed(values)
    assert column.treatment == "left out"
    assert why in column.why


@pytest.mark.parametrize(
    ("name", "values", "treatment"),
    [
        ("customer_id", [f"c{number}" for number in range(ROWS)], "entity"),
        ("customer_id", [f"c{number % 100}" for number in range(ROWS)], "entity"),
        ("id", [str(9000 + number) for number in range(ROWS)], "entity"),
        ("row", [str(number) for number in range(ROWS)], "left out"),
        ("Unnamed: 0", [str(number) for number in range(ROWS)], "left out"),
        ("store_id", [str(number % 8) for number in range(ROWS)], "feature"),
        ("counter", [str(number) for number in range(ROWS)], "left out"),
    ],
)
def test_ids_are_an_entity_or_nothing_and_never_a_number(name: str, values: list[str], treatment: str) -> None:
    column = assumed(values, name)
    assert column.treatment == treatment
    assert column.feature is None or isinstance(column.feature, CategoryFeature)


def test_of_two_ids_the_one_of_a_person_is_the_entity() -> None:
    found = assume(table(order_id=[f"o{number}" for number in range(ROWS)], customer_id=[f"c{number % 90}" for number in range(ROWS)]))
    assert found.entity is not None
    assert found.entity.name == "customer_id"
    assert found.split == "entity"
    assert {column.raw: column.treatment for column in found.columns}["order_id"] == "left out"


def dates(form: str = "%Y-%m-%d") -> list[str]:
    return [day.strftime(form) for day in pd.date_range("2024-01-01", periods=ROWS, freq="13h")]


def test_the_time_of_the_row_is_split_by() -> None:
    found = assume(table(order_date=dates("%d.%m.%Y"), birth_date=dates()))
    assert found.time is not None
    assert (found.time.name, found.split) == ("order_date", "time")
    other = next(column for column in found.columns if column.raw == "birth_date")
    assert isinstance(other.feature, DateFeature)
    assert "date of birth" in other.warning


def test_another_date_is_a_feature_of_days() -> None:
    column = assumed(dates("%d.%m.%Y"), "signup")
    assert isinstance(column.feature, DateFeature)
    assert str(column.feature.min) == "2014-01-01"
    assert column.sight.forms == ("%d.%m.%Y",)


def test_an_unclear_date_is_told() -> None:
    values = [f"{1 + number % 12:02d}/{1 + number // 40:02d}/2024" for number in range(ROWS)]
    assert any("whether the day or the month comes first; the month is assumed" in note for note in assume(table(signup=values)).notes)


@pytest.mark.parametrize("name", ["gender", "religion", "zip", "E-Mail"])
def test_what_is_about_a_person_is_flagged(name: str) -> None:
    assert assumed(some("a", "b"), name).warning.startswith("By its name or values it tells a")


def test_mail_addresses_are_known_by_their_looks() -> None:
    assert "an e-mail address" in assumed([f"who{number}@example.org" for number in range(ROWS)], "contact").warning


@pytest.mark.parametrize(
    "values",
    [
        np.where(LEFT == "yes", "gone", "here"),
        np.where(LEFT == "yes", "1", "0"),
        [f"{number}" for number in np.where(LEFT == "yes", 900, 0) + np.arange(ROWS)],
        np.where(LEFT == "yes", some("price", "service", "moved"), ""),
    ],
)
def test_a_column_that_knows_the_answer_is_left_out_with_a_warning(values: Any) -> None:
    column = assumed(values, "hint")
    assert column.treatment == "left out"
    assert "It leaks the target" in column.warning


def test_a_column_that_nearly_knows_it_stays_with_a_warning() -> None:
    values = np.where(LEFT == "yes", "gone", "here")
    values[0] = "gone" if values[0] == "here" else "here"
    column = assumed(values, "hint")
    assert column.treatment == "feature"
    assert "It may leak the target" in column.warning


def test_a_quantity_leaks_through_a_function_of_itself() -> None:
    price = RANDOM.normal(100, 20, ROWS).round(2)
    frame = DataFrame({"noise": NOISE, "net": [f"{value:.4f}" for value in price / 1.19], "price": [f"{value:.2f}" for value in price]})
    net = next(column for column in assume(frame, "price").columns if column.raw == "net")
    assert "It leaks the target" in net.warning


def test_odd_names_are_kept_or_renamed() -> None:
    found = assume(DataFrame({" Größe\n(m²) ": numbers(), "score": numbers(), "a.b;c": numbers(), "left": LEFT}))
    assert [column.name for column in found.columns] == ["Größe (m²)", "score_given", "a.b;c"]


def test_the_types_of_other_tables_are_used_as_they_are() -> None:
    frame = DataFrame(
        {
            "flag": RANDOM.random(ROWS) < 0.5,
            "count": RANDOM.integers(0, 9, ROWS),
            "value": np.where(RANDOM.random(ROWS) < 0.1, np.nan, 1.5),
            "amount": RANDOM.normal(size=ROWS),
            "day": pd.date_range("2020-01-01", periods=ROWS),
            "kind": pd.Categorical(some("a", "b")),
            "left": LEFT == "yes",
        }
    )
    found = assume(frame)
    kinds = {column.raw: column.feature.type if column.feature else column.treatment for column in found.columns}
    assert kinds == {"flag": "boolean", "count": "integer", "value": "left out", "amount": "number", "day": "time", "kind": "category"}
    assert (found.goal.classes, found.goal.positive) == (("false", "true"), "true")


class TestTarget:
    @pytest.mark.parametrize(
        ("values", "classes", "positive"),
        [
            (some("0", "1"), ("0", "1"), "1"),
            (some("Ja", "Nein"), ("Nein", "Ja"), "Ja"),
            (np.where(RANDOM.random(ROWS) < 0.2, "b", "a"), ("a", "b"), "b"),
            (some("yes", "Yes", "no", "no", "no"), None, None),
            (some("0.0", "1.0"), ("0", "1"), "1"),
        ],
    )
    def test_two_values_are_classes(self, values: Any, classes: tuple[str, ...] | None, positive: str | None) -> None:
        goal = assume(DataFrame({"noise": NOISE, "y": values}), "y").goal
        assert goal.task == "binary"
        if classes is not None:
            assert (goal.classes, goal.positive) == (classes, positive)
        else:  # spellings are one class
            assert len(goal.classes) == 2

    def test_several_are_classes_too_and_many_numbers_a_quantity(self) -> None:
        def task(values: Any) -> str:
            return assume(DataFrame({"noise": NOISE, "y": values}), "y").goal.task

        assert task(some("a", "b", "c")) == "multiclass"
        assert task(some("1", "2", "3", "4", "5")) == "multiclass"
        assert task(numbers()) == "regression"

    def test_a_rare_class_asks_for_another_metric(self) -> None:
        values = np.array(["no"] * ROWS)
        values[:12] = "yes"
        found = assume(DataFrame({"noise": NOISE, "y": values}), "y")
        assert found.goal.metric == "average_precision"
        assert any("Only 3.0% of the rows" in note for note in found.notes)

    def test_classes_with_too_few_rows_and_rows_without_a_target_are_left_out_and_said(self) -> None:
        values = some("a", "b")
        values[:4], values[4:9] = "c", ""
        found = assume(DataFrame({"noise": NOISE, "y": values}), "y")
        assert (sorted(found.goal.classes), found.goal.rare, found.rows) == (["a", "b"], ("c",), ROWS - 9)
        assert any("'c'" in note and "too few rows" in note for note in found.notes)
        assert any("5 rows have no y" in note for note in found.notes)

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (["same"] * ROWS, "every row has the same value"),
            ([f"name {number}" for number in range(ROWS)], "which are no classes"),
            (dates(), "it holds dates"),
            ([*numbers()[:-2], "cheap", "cheap"], "2 of 400 values are no numbers, such as 'cheap'"),
            (["a"] * (ROWS - 5) + ["b"] * 5, "only 1 has 10 rows or more"),
        ],
    )
    def test_what_cannot_be_learnt_is_refused_with_the_next_command(self, values: Any, reason: str) -> None:
        with pytest.raises(TargetUnusable, match=reason) as caught:
            assume(DataFrame({"noise": NOISE, "y": values}), "y")
        assert "`treadle init model --from table.csv --target" in caught.value.fix

    @pytest.mark.parametrize("written", ["Left", "lefd"])
    def test_a_slip_is_met_with_the_right_name(self, written: str) -> None:
        with pytest.raises(TargetNotFound, match="did you mean 'left'") as caught:
            assume(table(), written)
        assert caught.value.fix == "Type `treadle init model --from table.csv --target left`."

    @pytest.mark.parametrize("targets", [["left", "noise"], ["left,noise"], ["left, noise"]])
    def test_two_targets_are_two_projects(self, targets: list[str]) -> None:
        with pytest.raises(TwoTargets, match="left, noise"):
            guess(table(), ASKED, targets)

    def test_without_one_it_is_asked_for_or_guessed_aloud(self) -> None:
        with pytest.raises(TargetNotNamed, match="--guess-target"):
            guess(table(), ASKED, [])
        found = guess(table(), ASKED, [], guess_target=True)
        assert found.goal.name == "left"
        assert found.notes[0].startswith("The target was guessed to be 'left'")

    def test_too_few_rows_are_refused(self) -> None:
        with pytest.raises(TooFewRows, match="only 20 rows"):
            assume(table().head(20))

    def test_without_a_feature_there_is_nothing_to_learn_from(self) -> None:
        with pytest.raises(NothingToLearnFrom, match="constant: every row"):
            assume(DataFrame({"constant": ["a"] * ROWS, "left": LEFT}))
