"""The gate: what a version must show before it may have a role. Pure: evidence and policy in, clauses with sentences out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from treadle.spec import GatePolicy
from treadle.training.bootstrap import Paired
from treadle.training.metrics import better

Rows = Literal["logged", "holdout"]


@dataclass(frozen=True)
class Comparison:
    """Challenger and champion on the same rows.

    ``unnamed`` of them name no entity, so that they cannot be told apart by it; ``left_out`` are sentences about rows that one of
    the two could not have read.
    """

    champion: int
    rows: Rows
    paired: Paired
    unnamed: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Incomparable:
    """There is a champion, but there are no rows on which the comparison would be fair; ``reason`` is a full sentence."""

    champion: int
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What was measured of one version.

    ``metrics`` and ``baseline`` are values on the holdout, ``parity_share`` is the share of ``parity_rows`` rows on which graph
    and estimator differ, ``latency`` the p95 of one row in seconds, and ``comparison`` is None while there is no champion.
    ``lost`` is the sentence why the holdout cannot be found again: then nothing is measured on it, and nothing compared.
    """

    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    parity_share: float
    parity_rows: int
    latency: float
    comparison: Comparison | Incomparable | None
    lost: str = ""


class Clause(NamedTuple):
    """One condition of the gate: its name, whether it is met, and a sentence with the numbers."""

    name: str
    passed: bool
    sentence: str


def judge(evidence: Evidence, policy: GatePolicy, metric: str) -> tuple[Clause, ...]:
    """Return every clause of the gate; a version passes when all of them are met."""
    if evidence.lost:
        return (Clause("holdout", passed=False, sentence=evidence.lost), _parity(evidence, policy), _latency(evidence, policy))
    return (
        *(_minimum(name, limit, evidence) for name, limit in sorted(policy.minimum.items())),
        _baseline(evidence, policy, metric),
        _champion(evidence.comparison, policy, metric),
        _parity(evidence, policy),
        _latency(evidence, policy),
    )


def reasons(clauses: tuple[Clause, ...]) -> tuple[str, ...]:
    """Return the sentences that decided: those of the clauses that are not met, or of all when all are."""
    failed = tuple(clause.sentence for clause in clauses if not clause.passed)
    return failed or tuple(clause.sentence for clause in clauses)


def _minimum(name: str, limit: float, evidence: Evidence) -> Clause:
    clause = f"minimum {name}"
    if name not in evidence.metrics:
        return Clause(clause, passed=False, sentence=f"The policy asks for a minimum {name}, which was not measured.")
    value, greater = evidence.metrics[name], better(name) > 0
    passed = value >= limit if greater else value <= limit
    asked = f"at least {limit:.4g}" if greater else f"at most {limit:.4g}"
    return Clause(clause, passed, f"On its holdout {name} is {value:.4g}; {asked} is asked.")


def _baseline(evidence: Evidence, policy: GatePolicy, metric: str) -> Clause:
    if metric not in evidence.metrics or metric not in evidence.baseline:
        return Clause("baseline", passed=False, sentence=f"{metric} was not measured for both the version and the trivial baseline.")
    value, trivial = evidence.metrics[metric], evidence.baseline[metric]
    gain = better(metric) * (value - trivial)
    sentence = f"On its holdout {metric} is {value:.4g}, the trivial baseline's is {trivial:.4g}; it must be better"
    by = f" by at least {policy.baseline_margin:.4g}" if policy.baseline_margin else ""
    return Clause("baseline", gain > 0 and gain >= policy.baseline_margin, f"{sentence}{by}.")


def _champion(comparison: Comparison | Incomparable | None, policy: GatePolicy, metric: str) -> Clause:
    if comparison is None:
        return Clause("champion", passed=True, sentence="There is no champion yet to compare it with.")
    if isinstance(comparison, Incomparable):
        return Clause("champion", passed=False, sentence=comparison.reason)
    paired, champion = comparison.paired, f"champion version {comparison.champion}"
    rows = f"{paired.n} {comparison.rows} rows"
    if paired.n < policy.min_rows:
        return Clause("champion", passed=False, sentence=f"Only {rows} compare it with {champion}; at least {policy.min_rows} are asked.")
    if not all(map(math.isfinite, (paired.difference, paired.low, paired.high))):
        return Clause("champion", passed=False, sentence=f"{metric} is not defined on the {rows} that compare it with {champion}.")
    gap = f"{abs(paired.difference):.4g} {'better' if paired.difference > 0 else 'worse'} than" if paired.difference else "the same as"
    unnamed = f" {comparison.unnamed} of the rows name no entity." if comparison.unnamed else ""
    unnamed += "".join(f" {sentence}" for sentence in comparison.left_out)
    sentence = (
        f"On the same {rows} {metric} is {gap} that of {champion} "
        f"({100 * policy.confidence:.4g} % interval {paired.low:+.4g} to {paired.high:+.4g}); "
        f"the interval may reach down to {-policy.champion_margin:+.4g}.{unnamed}"
    )
    return Clause("champion", paired.low >= -policy.champion_margin, sentence)


def _parity(evidence: Evidence, policy: GatePolicy) -> Clause:
    sentence = (
        f"The graph differs from the estimator on {evidence.parity_share:.4g} of {evidence.parity_rows} rows; "
        f"at most {policy.parity_share:.4g} is allowed."
    )
    return Clause("parity", evidence.parity_share <= policy.parity_share, sentence)


def _latency(evidence: Evidence, policy: GatePolicy) -> Clause:
    sentence = f"One row takes {evidence.latency * 1000:.3g} ms (p95); at most {policy.latency * 1000:.4g} ms is allowed."
    return Clause("latency", evidence.latency <= policy.latency, sentence)
