import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from treadle.monitoring import canary
from treadle.monitoring.canary import CanaryCounts, beyond_rate, beyond_share, decide, disagreements, due, fisher
from treadle.spec import RolloutPolicy, SloPolicy
from treadle.state.log import Served

POLICY = RolloutPolicy(rows=400, looks=4, alpha=0.05, max_errors=0.05, max_disagreement=0.1, deadline=3600)
SLO = SloPolicy(latency=0.5)


def served(rows: int, *, failed: int = 0, median: float = 0.002, slow: int = 0, slow_seconds: float = 1.0, seed: int = 0) -> Served:
    """Return a side with ``rows`` predictions, of which ``failed`` failed and ``slow`` others took ``slow_seconds``."""
    seconds = np.random.default_rng(seed).lognormal(np.log(median), 0.3, rows - failed)
    seconds[:slow] = slow_seconds
    return Served(rows, failed, seconds)


CHAMPION = served(3600, failed=4, seed=1)

CASES = {
    "healthy": (served(400), (20, 400), "pass", None),
    "as bad as the champion": (served(400, failed=1), (20, 400), "pass", None),
    "all fail": (Served(100, 100, np.zeros(0)), (0, 0), "abort", "errors"),
    "many fail": (served(100, failed=20), (5, 80), "abort", "errors"),
    "some fail, and the champion does not": (served(400, failed=16), (20, 384), "abort", "errors"),
    "slow by the promise": (served(100, slow=20), (5, 100), "abort", "latency"),
    "slow by the champion": (served(100, median=0.05), (5, 100), "abort", "latency"),
    "a little slower": (served(400, median=0.0025), (20, 400), "pass", None),
    "a slow first prediction": (served(400, slow=1), (20, 400), "pass", None),
    "disagrees": (served(100), (60, 100), "abort", "disagreement"),
    "disagrees within the margin": (served(400), (48, 400), "pass", None),
    "too early to say": (served(99, failed=0), (5, 99), "continue", None),
    "first look": (served(150), (7, 150), "continue", None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_planted_canary_is_judged_by_the_clause_meant_for_it(name: str) -> None:
    challenger, live, outcome, clause = CASES[name]
    decision = decide(CanaryCounts(challenger, CHAMPION, live, (20, 500)), POLICY, SLO, elapsed=60, looked=0)
    assert (decision.outcome, decision.clause) == (outcome, clause), decision.reasons
    assert decision.reasons


def test_the_errors_that_the_policy_allows_are_a_limit_even_for_a_champion_that_fails_too() -> None:
    champion = served(3600, failed=720)
    decision = decide(CanaryCounts(served(400, failed=80), champion), POLICY, SLO, elapsed=60, looked=0)
    assert (decision.outcome, decision.clause) == ("abort", "errors")
    assert decision.reasons[0].startswith("The canary failed on 80 of 400 predictions, beyond 5.0% (rollout.max_errors")


def test_every_harm_that_was_found_is_told_and_the_first_one_names_the_clause() -> None:
    counts = CanaryCounts(served(400, failed=100, slow=200), CHAMPION, (200, 300), [20, 500])
    decision = decide(counts, POLICY, SLO, elapsed=60, looked=0)
    assert decision.clause == "errors"
    assert len(decision.reasons) == 5
    assert "200 of 300 predictions of the canary took longer than 500 ms (slo.latency)" in decision.reasons[2]
    assert "200 of 300 live rows, and did on 20 of 500 before" in decision.reasons[4]


def test_without_a_rehearsal_or_a_champion_nothing_is_compared_with_them() -> None:
    decision = decide(CanaryCounts(served(400), Served(0, 0, np.zeros(0)), (400, 400)), POLICY, SLO, elapsed=60, looked=0)
    assert decision.outcome == "pass"


@given(st.integers(4, 2000), st.integers(1, 4), st.lists(st.integers(0, 50), max_size=200))
def test_there_are_never_more_looks_than_planned(rows: int, looks: int, steps: list[int]) -> None:
    policy = RolloutPolicy(rows=rows, looks=looks)
    taken, looked, answered = 0, 0, 0
    for step in [*steps, rows]:
        answered += step
        look = due(answered, policy, looked)
        if look is not None:
            taken, looked = taken + 1, look
            assert answered >= look * rows / looks
    assert 1 <= taken <= looks
    assert looked == looks
    assert due(10 * rows, policy, looked) is None


def test_between_two_looks_nothing_is_judged() -> None:
    counts = CanaryCounts(served(150, failed=100), CHAMPION)
    decision = decide(counts, POLICY, SLO, elapsed=60, looked=1)
    assert (decision.outcome, decision.look) == ("continue", 1)
    assert decision.reasons == ("The canary has answered 150 of 400 predictions; no look is due.",)


@pytest.mark.parametrize(("ending", "outcome"), [("abort", "abort"), ("promote", "pass")])
def test_the_deadline_ends_a_canary_without_harm_as_the_policy_says(ending: str, outcome: str) -> None:
    policy = POLICY.model_copy(update={"on_deadline": ending})
    decision = decide(CanaryCounts(served(10), CHAMPION), policy, SLO, elapsed=3600, looked=0)
    assert (decision.outcome, decision.clause, decision.look) == (outcome, "deadline", 4)
    assert "had answered 10 of 400 predictions without harm" in decision.reasons[0]
    assert decide(CanaryCounts(served(10), CHAMPION), policy, SLO, elapsed=3599, looked=0).outcome == "continue"


def test_harm_comes_before_the_deadline() -> None:
    policy = POLICY.model_copy(update={"on_deadline": "promote"})
    decision = decide(CanaryCounts(served(20, failed=15), CHAMPION), policy, SLO, elapsed=9999, looked=0)
    assert (decision.outcome, decision.clause) == ("abort", "errors")


def test_a_canary_that_never_answered_is_taken_out_at_the_deadline() -> None:
    empty = Served(0, 0, np.zeros(0))
    decision = decide(CanaryCounts(empty, CHAMPION), POLICY, SLO, elapsed=9999, looked=0)
    assert (decision.outcome, decision.clause) == ("abort", "deadline")


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 300), st.integers(0, 300))
def test_the_exact_tests_equal_scipys(bad: int, other_bad: int, good: int, other_good: int) -> None:
    rows, other_rows = bad + good, other_bad + other_good
    expected = stats.fisher_exact([[bad, good], [other_bad, other_good]], alternative="greater").pvalue
    assert fisher(bad, rows, other_bad, other_rows) == pytest.approx(expected, abs=1e-9)
    if rows:
        assert beyond_share(bad, rows, 0.05) == pytest.approx(stats.binomtest(bad, rows, 0.05, alternative="greater").pvalue, abs=1e-9)
    assert beyond_share(0, 0, 0.05) == 1


def test_a_rate_is_compared_with_its_margin() -> None:
    assert beyond_rate(0, 0, 5, 100, 0.1) == 1
    assert beyond_rate(5, 100, 0, 0, 0.1) == 1
    assert beyond_rate(150, 1000, 50, 1000, 0.1) == pytest.approx(0.5, abs=0.05)
    assert beyond_rate(100, 100, 0, 100, 0.1) < 1e-12
    assert beyond_rate(1, 1, 0, 500, 0.1) > 0.01
    assert beyond_rate(0, 1000, 500, 1000, 0.1) == pytest.approx(1)


def test_classes_disagree_when_another_one_wins_and_numbers_by_a_tenth() -> None:
    champion, challenger = np.array([[0.6, 0.4], [0.4, 0.6], [0.1, 0.9]]), np.array([[0.4, 0.6], [0.1, 0.9], [0.9, 0.1]])
    assert disagreements(champion, challenger) == 2
    values = np.array([[100.0], [100.0], [0.0], [-5.0]])
    assert disagreements(values, np.array([[109.0], [112.0], [0.0], [5.0]])) == 2


def run_canary(rng: np.random.Generator, *, failing: float, champion_failing: float, disagreeing: float) -> str:
    """Let a canary meet traffic, look at it whenever the controller would, and return how it ended."""
    flags = rng.uniform(size=POLICY.rows) < failing
    slow = rng.uniform(size=POLICY.rows) < canary.SLOW_SHARE
    apart = rng.uniform(size=POLICY.rows) < disagreeing
    champion_flags = rng.uniform(size=9 * POLICY.rows) < champion_failing
    champion_seconds = rng.lognormal(np.log(0.002), 0.3, 9 * POLICY.rows)
    looked = rows = 0
    rehearsed = (int(rng.binomial(500, 0.05)), 500)
    while True:
        rows = min(POLICY.rows, rows + int(rng.integers(1, 40)))
        seconds = np.where(slow[:rows], 0.6, 0.002)[~flags[:rows]]
        others = champion_flags[: 9 * rows]
        counts = CanaryCounts(
            Served(rows, int(flags[:rows].sum()), seconds),
            Served(9 * rows, int(others.sum()), champion_seconds[: 9 * rows][~others]),
            (int(apart[:rows].sum()), rows),
            rehearsed,
        )
        decision = decide(counts, POLICY, SLO, elapsed=1, looked=looked)
        looked = decision.look
        if decision.outcome != "continue":
            return decision.outcome


@pytest.mark.parametrize(("failing", "disagreeing"), [(0.0, 0.05), (0.05, 0.15)])
def test_a_healthy_canary_is_aborted_in_no_more_than_alpha_of_runs(failing: float, disagreeing: float) -> None:
    rng = np.random.default_rng(11)
    runs = 400
    aborted = sum(run_canary(rng, failing=failing, champion_failing=failing, disagreeing=disagreeing) == "abort" for _ in range(runs))
    # The second case lies at the edge of every limit at once, where chance has its full freedom.
    assert aborted <= POLICY.alpha * runs


def test_a_failing_canary_is_found_in_most_runs() -> None:
    rng = np.random.default_rng(12)
    aborted = sum(run_canary(rng, failing=0.15, champion_failing=0.01, disagreeing=0.05) == "abort" for _ in range(50))
    assert aborted >= 49


def test_one_look_has_an_equal_share_of_alpha_for_each_of_its_tests() -> None:
    counts = CanaryCounts(served(400), CHAMPION, (20, 400), (20, 500))
    assert len(list(canary._tests(counts, POLICY, SLO))) == canary.TESTS  # noqa: SLF001 - the bound above rests on this number
