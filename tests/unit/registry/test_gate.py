from dataclasses import replace
from math import nan

import pytest

from treadle.registry.gate import Clause, Comparison, Evidence, Incomparable, judge, reasons
from treadle.spec import GatePolicy
from treadle.training.bootstrap import Paired

POLICY = GatePolicy(minimum={"recall": 0.4}, champion_margin=0.01, min_rows=30, parity_share=0.001, latency=0.05)
GOOD = Evidence(
    metrics={"roc_auc": 0.85, "recall": 0.6, "log_loss": 0.4},
    baseline={"roc_auc": 0.5, "log_loss": 0.58},
    parity_share=0.0,
    parity_rows=2000,
    latency=0.0001,
    comparison=Comparison(3, "logged", Paired(0.12, 0.08, 0.16, 600)),
)


def failed(evidence: Evidence, policy: GatePolicy = POLICY, metric: str = "roc_auc") -> list[str]:
    return [clause.name for clause in judge(evidence, policy, metric) if not clause.passed]


def sentence(evidence: Evidence, name: str, metric: str = "roc_auc") -> str:
    (found,) = (clause for clause in judge(evidence, POLICY, metric) if clause.name == name)
    return found.sentence


def compared(*, difference: float = 0.0, low: float = 0.0, high: float = 0.0, n: int = 600) -> Evidence:
    return replace(GOOD, comparison=Comparison(3, "logged", Paired(difference, low, high, n)))


def test_a_good_challenger_meets_every_clause() -> None:
    assert [clause.name for clause in judge(GOOD, POLICY, "roc_auc")] == ["minimum recall", "baseline", "champion", "parity", "latency"]
    assert failed(GOOD) == []


def test_the_first_version_has_nobody_to_be_compared_with() -> None:
    assert failed(replace(GOOD, comparison=None)) == []


def test_without_the_held_out_rows_nothing_is_measured_and_nothing_passes() -> None:
    lost = replace(GOOD, metrics={}, baseline={}, comparison=None, lost="The snapshot is gone.", latency=0.051)
    assert failed(lost) == ["holdout", "latency"]
    assert reasons(judge(lost, POLICY, "roc_auc"))[0] == "The snapshot is gone."


def test_rows_that_were_left_out_are_told() -> None:
    told = replace(GOOD, comparison=Comparison(3, "logged", Paired(0.12, 0.08, 0.16, 600), 2, ("7 rows were left out.",)))
    assert sentence(told, "champion").endswith(" 2 of the rows name no entity. 7 rows were left out.")


@pytest.mark.parametrize(
    ("evidence", "clause"),
    [
        (replace(GOOD, metrics={**GOOD.metrics, "recall": 0.39}), "minimum recall"),
        (replace(GOOD, metrics={"roc_auc": 0.85}), "minimum recall"),
        (replace(GOOD, metrics={**GOOD.metrics, "roc_auc": 0.5}), "baseline"),
        (replace(GOOD, baseline={}), "baseline"),
        (compared(difference=-0.02, low=-0.03, high=-0.011), "champion"),
        (compared(difference=0.02, low=-0.02, high=0.06), "champion"),
        (compared(difference=0.3, low=0.2, high=0.4, n=29), "champion"),
        (compared(difference=nan, low=nan, high=nan), "champion"),
        (compared(difference=0.1, low=nan, high=nan), "champion"),
        (replace(GOOD, comparison=Incomparable(3, "No fair rows.")), "champion"),
        (replace(GOOD, parity_share=0.002), "parity"),
        (replace(GOOD, parity_share=nan), "parity"),
        (replace(GOOD, latency=0.051), "latency"),
        (replace(GOOD, latency=nan), "latency"),
    ],
)
def test_each_fault_is_refused_by_the_clause_meant_for_it(evidence: Evidence, clause: str) -> None:
    assert failed(evidence) == [clause]


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, metrics={**GOOD.metrics, "recall": 0.4}),
        compared(difference=0.0, low=-0.01, high=0.01),
        compared(n=30),
        replace(GOOD, parity_share=0.001),
        replace(GOOD, latency=0.05),
    ],
)
def test_a_value_on_its_limit_is_allowed(evidence: Evidence) -> None:
    assert failed(evidence) == []


def test_an_error_must_lie_below_its_limit_and_below_the_baseline() -> None:
    policy = GatePolicy(minimum={"log_loss": 0.45})
    assert failed(GOOD, policy, "log_loss") == []
    assert failed(replace(GOOD, metrics={"log_loss": 0.46}), policy, "log_loss") == ["minimum log_loss"]
    assert failed(replace(GOOD, metrics={"log_loss": 0.6}), policy, "log_loss") == ["minimum log_loss", "baseline"]


def test_the_baseline_must_be_beaten_by_the_margin() -> None:
    assert failed(GOOD, GatePolicy(baseline_margin=0.34)) == []
    assert failed(GOOD, GatePolicy(baseline_margin=0.36)) == ["baseline"]


def test_sentences_name_the_numbers_and_the_limits() -> None:
    assert sentence(GOOD, "minimum recall") == "On its holdout recall is 0.6; at least 0.4 is asked."
    assert sentence(GOOD, "champion") == (
        "On the same 600 logged rows roc_auc is 0.12 better than that of champion version 3 (95 % interval +0.08 to +0.16); "
        "the interval may reach down to -0.01."
    )
    assert sentence(replace(GOOD, latency=0.0612), "latency") == "One row takes 61.2 ms (p95); at most 50 ms is allowed."
    assert "0.002 of 2000 rows" in sentence(replace(GOOD, parity_share=0.002), "parity")
    unnamed = replace(GOOD, comparison=Comparison(3, "logged", Paired(0.1, 0.1, 0.1, 600), unnamed=7))
    assert sentence(unnamed, "champion").endswith("7 of the rows name no entity.")


def test_the_reasons_are_those_that_decided() -> None:
    good, bad = Clause("a", passed=True, sentence="A."), Clause("b", passed=False, sentence="B.")
    assert reasons((good, bad)) == ("B.",)
    assert reasons((good, good)) == ("A.", "A.")
