"""What an A/B test has shown: against scipy where the method is the same, and by simulation where it promises more."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.small_bundles import INTERFACE, VALUE
from treadle.registry import abtest
from treadle.registry.abtest import Observed, holm, jackknife, judge, needed, p_value, radius

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def values(errors: np.ndarray, version: int = 1, entities: list[str | None] | None = None) -> Observed:
    """Return rows of a regression with these errors: the truth is 0."""
    count = len(errors)
    return Observed(version, VALUE, np.zeros(count), errors.reshape(-1, 1), entities or [None] * count, count)


def classes(right: int, wrong: int, version: int = 1) -> Observed:
    """Return rows of two classes of which so many are rightly predicted."""
    y = np.zeros(right + wrong, dtype=np.int64)
    scores = np.array([[0.9, 0.1]] * right + [[0.2, 0.8]] * wrong, dtype=np.float32)
    return Observed(version, INTERFACE, y, scores, [f"c{version}-{row}" for row in range(len(y))], len(y))


@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.integers(2, 200))
def test_errors_of_a_mean_are_those_of_welch(seed: int, few: int, many: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.gamma(2, 1, few), generator.gamma(2, 1.2, many)
    (one, one_error), (two, two_error) = (
        jackknife("mae", VALUE, np.zeros(len(each)), each.reshape(-1, 1), np.arange(len(each))) for each in (first, second)
    )
    assert (one - two) / math.hypot(one_error, two_error) == pytest.approx(stats.ttest_ind(first, second, equal_var=False).statistic)


def test_many_entities_are_left_out_in_groups_and_few_are_not() -> None:
    errors = np.random.default_rng(1).gamma(2, 1, 5000)
    _, error = jackknife("mae", VALUE, np.zeros(5000), errors.reshape(-1, 1), np.arange(5000))
    assert error == pytest.approx(float(stats.sem(errors)), rel=0.15)


def test_the_order_of_the_rows_does_not_make_the_groups_alike() -> None:
    assert abtest.measured(classes(800, 200), "accuracy", 0.05).error == pytest.approx(math.sqrt(0.8 * 0.2 / 1000), rel=0.15)


def test_rows_of_one_entity_count_as_one() -> None:
    errors = np.random.default_rng(2).gamma(2, 1, 100)
    once = abtest.measured(values(errors), "mae", 0.05)
    names: list[str | None] = [f"e{row % 100}" for row in range(300)]
    thrice = abtest.measured(values(np.tile(errors, 3), entities=names), "mae", 0.05)
    assert (thrice.labelled, thrice.entities) == (300, 100)
    assert [thrice.value, thrice.error] == pytest.approx([once.value, once.error])


def test_rows_of_nobody_are_an_entity_each() -> None:
    assert abtest.clusters(["a", None, "a", None, "row"]).tolist() == [0, 1, 0, 2, 3]


@given(st.floats(-5, 5), st.floats(1e-3, 5), st.integers(1, 10**6), st.floats(1e-4, 0.5))
def test_interval_and_p_value_say_the_same(difference: float, error: float, size: int, alpha: float) -> None:
    reach, chance = radius(error, size, alpha), p_value(difference, error, size)
    if abs(abs(difference) - reach) > 1e-6 * reach:
        assert (abs(difference) > reach) == (chance < alpha)
    assert chance >= 2 * stats.norm.sf(abs(difference) / error) - 1e-12


@pytest.mark.parametrize("shared", [1, 5])
def test_looking_all_the_time_gives_few_false_alarms(shared: int) -> None:
    """Of 400 tests in which nothing differs, each looked at after every 50 entities, as many as promised alarm; rows share an entity."""
    generator = np.random.default_rng(3)
    runs, entities, alpha = 400, 2000, 0.05
    sums, squares, alarmed = np.zeros((2, runs)), np.zeros((2, runs)), np.zeros(runs, dtype=bool)
    naive = np.zeros(runs, dtype=bool)
    for step in range(entities // 50):
        own = generator.normal(size=(2, runs, 50, 1)) * (shared > 1) + generator.normal(size=(2, runs, 50, shared))
        means = own.mean(axis=3)
        sums, squares = sums + means.sum(axis=2), squares + (means**2).sum(axis=2)
        count = 50 * (step + 1)
        errors = np.sqrt((squares / count - (sums / count) ** 2) / (count - 1))
        gaps, spreads = sums[0] / count - sums[1] / count, np.hypot(errors[0], errors[1])
        alarmed |= [p_value(gap, spread, count) <= alpha for gap, spread in zip(gaps, spreads, strict=True)]
        naive |= np.abs(gaps / spreads) > stats.norm.isf(alpha / 2)
    assert alarmed.mean() <= alpha
    assert naive.mean() > 3 * alpha  # which is why


@given(SHARES)
def test_holm_is_the_closed_test(p_values: list[float]) -> None:
    """Each hypothesis is rejected when each set of hypotheses that holds it is, by Bonferroni."""
    count = len(p_values)
    sets = [[place for place in range(count) if number >> place & 1] for number in range(1, 2**count)]
    expected = [max(min(1.0, len(some) * min(p_values[one] for one in some)) for some in sets if place in some) for place in range(count)]
    assert holm(p_values) == pytest.approx(expected)


@given(st.floats(0.001, 1), st.integers(1, 10**5), st.floats(0.0005, 1))
def test_the_rows_that_are_asked_for_would_do(error: float, size: int, effect: float) -> None:
    rows = needed(error, size, 2 * size, effect, 0.05)
    if rows is None:
        return
    times = 1 + rows / (2 * size)
    less = error / math.sqrt(times)
    assert radius(less, round(size * times), 0.05) + stats.norm.isf(0.2) * less <= effect * 1.001
    if rows > 100:
        fewer = error / math.sqrt(1 + 0.9 * rows / (2 * size))
        assert radius(fewer, round(size * (1 + 0.9 * rows / (2 * size))), 0.05) + stats.norm.isf(0.2) * fewer > effect * 0.999


def test_a_better_arm_is_told_so() -> None:
    found = judge(classes(800, 200, 4), [classes(920, 80, 5), classes(790, 210, 6)], "accuracy", per_day=1000)
    better, same = found.arms
    assert (better.outcome, same.outcome) == ("better", "open")
    assert better.sentence.startswith(
        "Version 5 is better than version 4, the champion: accuracy 0.92 against 0.8, by 0.12 (95 % interval +"
    )
    assert better.low > 0 > same.low
    assert same.sentence.startswith("No difference between version 6 and version 4, the champion, is seen yet: accuracy 0.79 against 0.8 (")
    assert same.needed is not None
    assert (
        f"About {same.needed} more labelled rows, {same.needed / 1000:.1f} days at this rate, would show a difference of 0.008."
        in same.sentence
    )


def test_errors_are_better_when_they_are_smaller() -> None:
    generator = np.random.default_rng(4)
    champion, arm = values(generator.gamma(2, 1, 500), 1), values(generator.gamma(2, 2, 500), 2)
    (worse,) = judge(champion, [arm], "mae").arms
    assert (worse.outcome, worse.gain < 0, worse.high < 0) == ("worse", True, True)
    (better,) = judge(replace(arm, version=1), [replace(champion, version=2)], "mae").arms
    assert better.outcome == "better"
    assert better.gain == pytest.approx(-worse.gain)


def test_too_few_rows_are_no_judgement() -> None:
    (early,) = judge(classes(0, 49), [classes(400, 0, 2)], "accuracy").arms
    assert early.outcome == "early"
    assert "400 rows of 400 entities and 49 of 49 have a label, and 50 entities on each side are the least." in early.sentence
    (none,) = judge(classes(0, 0), [classes(0, 0, 2)], "accuracy").arms
    assert (none.outcome, none.p_value, none.needed) == ("early", 1.0, None)


def test_what_is_not_defined_is_told() -> None:
    """Rows of one class alone have no area under a curve."""
    (found,) = judge(classes(100, 0), [classes(100, 0, 2)], "roc_auc").arms
    assert "roc_auc cannot be compared for version 2 and version 1, the champion: it is not defined on the rows of one" in found.sentence


def test_all_rows_right_is_not_certainty() -> None:
    side = abtest.measured(classes(60, 0), "accuracy", 0.05)
    assert [side.value, side.error] == pytest.approx([1.0, 1 / 62])
    (same,) = judge(classes(100, 0), [classes(100, 0, 2)], "accuracy", effect=0.5).arms
    assert (same.outcome, same.needed) == ("open", 0)
    assert same.sentence.endswith("A difference of 0.5 would most likely have been seen.")


def test_a_difference_out_of_reach_asks_for_no_number() -> None:
    (found,) = judge(classes(60, 40), [classes(60, 40, 2)], "accuracy", effect=1e-9).arms
    assert found.needed is None
    assert found.sentence.endswith(").")
