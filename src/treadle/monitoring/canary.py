"""Whether a canary may go on, has passed, or does harm. Pure: counts in, a decision with its sentences out.

A canary is judged on operations: errors, latency, and how often it disagrees with the champion. It is looked at a few times,
planned beforehand by how many predictions it has answered, and each test of each look has its share of ``rollout.alpha``:
a healthy canary is aborted with at most that probability, however the looks fall. Quality is not judged here, but paired,
on labelled rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from treadle.spec import RolloutPolicy, SloPolicy
from treadle.state.log import Served

Clause = Literal["errors", "latency", "disagreement", "deadline", "consent"]
Outcome = Literal["continue", "pass", "abort"]
Floats = npt.NDArray[np.floating[Any]]

TESTS = 5
"""How many tests one look makes, among which it divides its share of alpha."""

SLOW_SHARE = 0.05
"""A p95 is kept when no more than this share is slower."""

SLOWER = 2.0
SLOWER_SECONDS = 0.01
"""Much slower than the champion: beyond so many times its p95, and by at least so many seconds."""

TOLERANCE = 0.1
"""Two predicted numbers disagree when they differ by more than this share of the larger."""


@dataclass(frozen=True)
class CanaryCounts:
    """What both sides did since the canary began.

    ``live`` and ``rehearsed`` are pairs (rows on which the two disagree, rows compared): on the canary's own traffic, and on the
    rows that judged it before; ``rehearsed`` is None where there was no such comparison.
    """

    challenger: Served
    champion: Served
    live: Sequence[int] = (0, 0)
    rehearsed: Sequence[int] | None = None


@dataclass(frozen=True)
class CanaryDecision:
    """What follows, for which clause, and why. ``look`` is the number of the last look that was taken: give it back next time."""

    outcome: Outcome
    clause: Clause | None
    reasons: tuple[str, ...]
    look: int


@dataclass(frozen=True)
class _Test:
    clause: Clause
    p_value: float
    sentence: str


def due(rows: int, policy: RolloutPolicy, looked: int) -> int | None:
    """Return the number of the look that ``rows`` predictions of the canary make due, after ``looked``; None while none is.

    The looks are spread evenly up to ``rollout.rows``; those that were passed over together are one.
    """
    reached = min(policy.looks, rows * policy.looks // policy.rows)
    return reached if reached > looked else None


def decide(counts: CanaryCounts, policy: RolloutPolicy, slo: SloPolicy, *, elapsed: float, looked: int) -> CanaryDecision:
    """Judge a canary that has run for ``elapsed`` seconds and was looked at ``looked`` times.

    Harm aborts at any look; the last look without harm passes. The deadline takes one more look if one is left, and without
    harm ends as ``rollout.on_deadline`` says.
    """
    look = due(counts.challenger.rows, policy, looked)
    late = elapsed >= policy.deadline
    if look is None and late and looked < policy.looks:
        look = policy.looks
    if look is not None:
        harmful = [test for test in _tests(counts, policy, slo) if test.p_value < policy.alpha / policy.looks / TESTS]
        if harmful:
            return CanaryDecision("abort", harmful[0].clause, tuple(test.sentence for test in harmful), look)
        if counts.challenger.rows >= policy.rows:
            return CanaryDecision("pass", None, (_healthy(counts, look, policy),), look)
    if late:
        outcome: Outcome = "pass" if policy.on_deadline == "promote" else "abort"
        return CanaryDecision(outcome, "deadline", (_expired(counts, policy, elapsed),), looked if look is None else look)
    return CanaryDecision("continue", None, (_waiting(counts, policy, look),), looked if look is None else look)


def disagreements(champion: Floats, challenger: Floats) -> int:
    """Count the rows on which two models answer differently, from their scores of the same rows (float [n, k] each).

    Classes disagree when another one wins; numbers when they differ by more than a tenth of the larger.
    """
    if champion.shape[1] > 1:
        return int((champion.argmax(axis=1) != challenger.argmax(axis=1)).sum())
    larger = np.maximum(np.abs(champion[:, 0]), np.abs(challenger[:, 0]))
    return int((np.abs(champion[:, 0] - challenger[:, 0]) > TOLERANCE * larger).sum())


def _tests(counts: CanaryCounts, policy: RolloutPolicy, slo: SloPolicy) -> Iterator[_Test]:
    yield from _error_tests(counts.challenger, counts.champion, policy)
    yield from _latency_tests(counts.challenger.seconds, counts.champion.seconds, slo)
    if counts.rehearsed is not None:
        yield from _disagreement_test(counts.live, counts.rehearsed, policy)


def _error_tests(challenger: Served, champion: Served, policy: RolloutPolicy) -> Iterator[_Test]:
    failed = f"The canary failed on {challenger.failed} of {challenger.rows} predictions"
    worse = fisher(challenger.failed, challenger.rows, champion.failed, champion.rows)
    yield _Test("errors", worse, f"{failed}, the champion on {champion.failed} of {champion.rows} (p {worse:.1e}).")
    beyond = beyond_share(challenger.failed, challenger.rows, policy.max_errors)
    yield _Test("errors", beyond, f"{failed}, beyond {policy.max_errors:.1%} (rollout.max_errors, p {beyond:.1e}).")


def _latency_tests(challenger: Floats, champion: Floats, slo: SloPolicy) -> Iterator[_Test]:
    limits = [(slo.latency, "slo.latency")]
    if len(champion):
        p95 = float(np.quantile(champion, 1 - SLOW_SHARE))
        limits.append(
            (
                max(SLOWER * p95, p95 + SLOWER_SECONDS),
                f"{SLOWER:g} times the champion's p95 of {_ms(p95)}, by {_ms(SLOWER_SECONDS)} at least",
            )
        )
    for limit, name in limits:
        slow = int((challenger > limit).sum())
        p_value = beyond_share(slow, len(challenger), SLOW_SHARE)
        yield _Test(
            "latency",
            p_value,
            f"{slow} of {len(challenger)} predictions of the canary took longer than {_ms(limit)} ({name}); "
            f"{SLOW_SHARE:.0%} may (p {p_value:.1e}).",
        )


def _disagreement_test(live: Sequence[int], rehearsed: Sequence[int], policy: RolloutPolicy) -> Iterator[_Test]:
    p_value = beyond_rate(live[0], live[1], rehearsed[0], rehearsed[1], policy.max_disagreement)
    yield _Test(
        "disagreement",
        p_value,
        f"The canary disagrees with the champion on {live[0]} of {live[1]} live rows, and did on {rehearsed[0]} of {rehearsed[1]} "
        f"before: more than {policy.max_disagreement:.0%} apart (rollout.max_disagreement, p {p_value:.1e}).",
    )


def fisher(bad: int, rows: int, other_bad: int, other_rows: int) -> float:
    """Return the one-sided exact p-value of ``bad`` or more among ``rows`` if both sides fail alike."""
    if not rows:
        return 1.0
    return float(stats.hypergeom.sf(bad - 1, rows + other_rows, bad + other_bad, rows))


def beyond_share(bad: int, rows: int, share: float) -> float:
    """Return the one-sided exact p-value of ``bad`` or more among ``rows`` if no more than ``share`` of all are bad."""
    return float(stats.binom.sf(bad - 1, rows, share))


def beyond_rate(bad: int, rows: int, other_bad: int, other_rows: int, margin: float) -> float:
    """Return the one-sided p-value that the rate of ``bad`` exceeds the other one by no more than ``margin``.

    The score is that of Agresti and Caffo: one success and one failure more on each side, so that it also holds for small
    samples and for rates of 0 and 1. Without rows on both sides nothing is known, and it is 1.
    """
    if not rows or not other_rows:
        return 1.0
    n, m = rows + 2, other_rows + 2
    p, q = (bad + 1) / n, (other_bad + 1) / m
    return float(stats.norm.sf((p - q - margin) / np.sqrt(p * (1 - p) / n + q * (1 - q) / m)))


def _healthy(counts: CanaryCounts, look: int, policy: RolloutPolicy) -> str:
    return (
        f"After {counts.challenger.rows} predictions and look {look} of {policy.looks} the canary does no harm: "
        f"{counts.challenger.failed} failed, {_slowest(counts.challenger)}{_differing(counts)}."
    )


def _expired(counts: CanaryCounts, policy: RolloutPolicy, elapsed: float) -> str:
    ending = "it is promoted" if policy.on_deadline == "promote" else "it is taken out"
    return (
        f"After {elapsed:.0f} s (rollout.deadline is {policy.deadline:.0f} s) the canary had answered "
        f"{counts.challenger.rows} of {policy.rows} predictions without harm; {ending} (rollout.on_deadline)."
    )


def _waiting(counts: CanaryCounts, policy: RolloutPolicy, look: int | None) -> str:
    seen = f"look {look} of {policy.looks} found no harm" if look is not None else "no look is due"
    return f"The canary has answered {counts.challenger.rows} of {policy.rows} predictions; {seen}."


def _slowest(served: Served) -> str:
    return f"p95 {_ms(float(np.quantile(served.seconds, 1 - SLOW_SHARE)))}" if len(served.seconds) else "none answered"


def _differing(counts: CanaryCounts) -> str:
    return f", {counts.live[0]} of {counts.live[1]} rows answered otherwise than the champion would" if counts.live[1] else ""


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
