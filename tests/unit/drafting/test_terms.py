"""What a drafted policy asks for, from what the target is like."""

import pytest

from treadle.drafting.asked import Asked
from treadle.drafting.goal import Goal
from treadle.drafting.terms import quick_terms, terms
from treadle.drafting.write import proposal


def goal(share: float, task: str = "binary", spread: float = 0.0) -> Goal:
    return Goal("y", "y", task, "", ("no", "yes"), "yes", share=share, spread=spread)  # type: ignore[arg-type]


def test_where_few_rows_are_positive_more_rows_are_waited_for() -> None:
    even, rare = terms(goal(0.5)), terms(goal(0.02))
    assert (even.metric, even.retrain_rows, even.judge_rows) == ("roc_auc", 1000, 500)
    assert (rare.metric, rare.retrain_rows, rare.judge_rows) == ("average_precision", 10_000, 4000)
    assert terms(goal(0.0001)).retrain_rows == 20_000


def test_a_demonstration_turns_within_half_a_minute_of_traffic() -> None:
    rare = quick_terms(goal(0.02))
    assert rare.retrain_rows + rare.judge_rows <= 150 * 30
    assert 0.02 * rare.retrain_rows >= 40
    assert rare.champion_margin > terms(goal(0.02)).champion_margin


@pytest.mark.parametrize(
    ("spread", "margins"), [(100.0, (5.0, 2.0, 10.0)), (115_395.6, (5800.0, 2300.0, 12_000.0)), (0.04, (0.002, 0.0008, 0.004))]
)
def test_the_margins_of_a_quantity_are_in_its_units(spread: float, margins: tuple[float, ...]) -> None:
    asked = terms(goal(0.0, "regression", spread))
    assert (asked.baseline_margin, asked.champion_margin, asked.max_drop) == margins


@pytest.mark.parametrize(
    ("given", "proposed"),
    [
        ("My Model", "my_model"),
        ("Kündigung", "kundigung"),
        ("größe", "grosse"),
        ("2nd-try", "model_2nd_try"),
        ("!!!", "model"),
        ("x" * 99, "x" * 63),
    ],
)
def test_a_name_that_is_not_allowed_gets_the_nearest_one_that_is(given: str, proposed: str) -> None:
    assert proposal(given) == proposed


def test_the_command_to_type_is_quoted_for_a_shell_and_shows_no_password() -> None:
    asked = Asked("deals", "my deals.csv", "won ?")
    assert asked.command() == "treadle init deals --from 'my deals.csv' --target 'won ?'"
    secret = Asked("deals", "postgresql://me:hunter2@crm/deals", None, "deals")
    assert secret.command() == 'treadle init deals --from "$DEALS_URL" --table deals --target COLUMN'
