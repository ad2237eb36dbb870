"""What an A/B test has shown: the metric of each version on its own labelled rows, and how sure the differences are. Pure.

Rows of one entity are not independent, so that entities are what is left out in turn: the standard errors are those of a jackknife over
entities, or over GROUPS groups of them where there are more. Where each entity has one row and the metric is a mean, they are those of
Welch's test.

A report may be asked for as often as one likes: intervals and p-values are those of a normal mixture (Robbins; Howard and others 2021),
which hold at every look at once. They are wider than those of a test that looks once, by about a half. For several arms they hold
together: p-values by Holm, intervals by Bonferroni.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from treadle.spec import Interface
from treadle.training.metrics import Floats, Labels, better, find

GROUPS = 200
"""Of more entities than this, groups of entities are left out in turn."""

ENTITIES = 50
"""With fewer on one side nothing is judged: the normal distribution would promise too much."""

TUNED = 1000
"""The number of entities on the smaller side at which the intervals are tightest."""

POWER = 0.8
"""How often the rows that a report asks for would show the difference that it names."""

SMALL = 0.01
"""A difference worth finding, as a share of the champion's value, where nobody has named one."""

FAR = 1e6
"""As many times the rows there are: beyond it a difference is as good as never seen."""

_CELLS = 2_000_000  # weights in memory at a time: 16 MB

Outcome = Literal["better", "worse", "open", "early"]


@dataclass(frozen=True)
class Observed:
    """The labelled rows of one version: ``y`` [n], ``scores`` float [n, k], and whom each row is about (None: nobody knows).

    ``answered`` and ``failed`` count the rows that were routed to it in the same time, labelled or not.
    """

    version: int
    interface: Interface
    y: Labels
    scores: Floats
    entities: Sequence[str | None]
    answered: int
    failed: int = 0


@dataclass(frozen=True)
class Side:
    """How one version did. ``value`` is its metric, with an interval and a standard error; all are NaN where it is not defined."""

    version: int
    answered: int
    failed: int
    labelled: int
    entities: int
    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """One arm against the champion. ``gain`` is positive where the arm is better, for errors too; it has an interval and a p-value.

    ``needed`` is how many more labelled rows, of both together, would show a difference of ``effect``; None where that is not known.
    """

    side: Side
    outcome: Outcome
    gain: float
    low: float
    high: float
    p_value: float
    effect: float
    needed: int | None
    sentence: str


@dataclass(frozen=True)
class Report:
    """What an A/B test has shown of each arm. ``alpha`` is the chance that any of it is a false alarm, however often one looks."""

    metric: str
    alpha: float
    champion: Side
    arms: tuple[Finding, ...]


def judge(
    champion: Observed, arms: Sequence[Observed], metric: str, *, alpha: float = 0.05, effect: float | None = None, per_day: float = 0.0
) -> Report:
    """Compare each arm with the champion.

    Args:
        champion: its rows.
        arms: those of each arm.
        metric: name of the metric.
        alpha: the chance of a false alarm over all arms and looks.
        effect: the difference that is worth finding, for the rows still needed; without it, SMALL of the champion's value.
        per_day: labelled rows per day of all versions, for how long that takes; 0 where it is not known.

    Raises:
        MetricUnknown: there is no such metric, or it does not fit the task.
    """
    base = measured(champion, metric, alpha)
    sides = [measured(arm, metric, alpha) for arm in arms]
    gains = [better(metric) * (side.value - base.value) for side in sides]
    errors = [math.hypot(side.error, base.error) for side in sides]
    sizes = [min(side.entities, base.entities) for side in sides]
    adjusted = holm([p_value(gain, error, size) for gain, error, size in zip(gains, errors, sizes, strict=True)])
    sought = effect or SMALL * abs(base.value)
    found = []
    for side, gain, error, size, chance in zip(sides, gains, errors, sizes, adjusted, strict=True):
        reach = radius(error, size, alpha / len(arms))
        outcome = _outcome(gain, chance, size, alpha)
        rows = (
            None if outcome != "open" or not sought > 0 else needed(error, size, side.labelled + base.labelled, sought, alpha / len(arms))
        )
        bare = Finding(side, outcome, gain, gain - reach, gain + reach, chance, sought, rows, "")
        found.append(_told(bare, base, metric, alpha, per_day))
    return Report(metric, alpha, base, tuple(found))


def measured(seen: Observed, metric: str, alpha: float) -> Side:
    """Return how one version did, with an interval that holds at every look."""
    groups = clusters(seen.entities)
    entities = int(groups.max()) + 1 if len(groups) else 0
    value, error = jackknife(metric, seen.interface, seen.y, seen.scores, groups)
    reach = radius(error, entities, alpha)
    return Side(seen.version, seen.answered, seen.failed, len(seen.y), entities, value, error, value - reach, value + reach)


def clusters(entities: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Return the number of the entity of each row, int64 [n], from 0 on; a row of nobody is an entity of its own."""
    places: dict[object, int] = {}
    return np.array(
        [places.setdefault(("row", row) if who is None else who, len(places)) for row, who in enumerate(entities)], dtype=np.int64
    )


def jackknife(metric: str, interface: Interface, y: Labels, scores: Floats, groups: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the metric on these rows and its standard error, from leaving out each of the ``groups`` (int64 [n], from 0 on) in turn.

    A share that is 0 or 1 has no spread in the rows, but is not certain: its error is at least that of one row more on the other side.
    Both are NaN where the metric is not defined, the error also where it is not once a group is left out.
    """
    found = find(metric, interface)
    wide = np.asarray(scores, dtype=np.float64)
    value = found(y, wide, interface)
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2:
        return value, math.nan
    # At random, though always the same: groups that follow an order in the rows would be more alike than chance makes them.
    folded = np.random.default_rng(0).permutation(count)[groups] % GROUPS if count > GROUPS else groups
    parts = min(count, GROUPS)
    at_a_time = max(1, _CELLS // len(y))
    without = [
        found.weighted(y, wide, interface, (folded != np.arange(start, min(start + at_a_time, parts))[:, None]).astype(np.float64))
        for start in range(0, parts, at_a_time)
    ]
    left = np.concatenate(without)
    error = math.sqrt((parts - 1) / parts * float(((left - left.mean()) ** 2).sum()))
    share = found.greater_is_better and interface.task != "regression"
    return value, max(error, 1 / (count + 2)) if share else error


def p_value(difference: float, error: float, size: int, *, tuned: int = TUNED) -> float:
    """Return the p-value that two versions do as well as each other; it holds at every look. 1 where there is no telling.

    It is the inverse of the likelihood ratio between a normal mixture of differences and none, the test that ``radius`` inverts.
    """
    if not (math.isfinite(difference) and math.isfinite(error)) or size <= 0 or error <= 0:
        return 1.0
    spread = size * _scale(tuned)
    exponent = 0.5 * math.log1p(spread) - 0.5 * (difference / error) ** 2 * spread / (1 + spread)
    return math.exp(min(exponent, 0.0))


def radius(error: float, size: int, alpha: float, *, tuned: int = TUNED) -> float:
    """Return half the width of the interval that covers with probability 1 - ``alpha`` at every look; NaN where there is no telling."""
    if not math.isfinite(error) or size <= 0:
        return math.nan
    spread = size * _scale(tuned)
    return error * math.sqrt((1 + spread) / spread * (math.log1p(spread) - 2 * math.log(alpha)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all of several tests together, after Holm."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def needed(error: float, size: int, rows: int, effect: float, alpha: float) -> int | None:
    """Return how many rows more would show a difference of ``effect`` with probability POWER; None where that is beyond reach.

    Of ``rows`` rows and ``size`` entities on the smaller side the ``error`` is known; it falls with the square root of both.
    """
    if not (math.isfinite(error) and error > 0 and size > 0):
        return None
    sure = NormalDist().inv_cdf(POWER)

    def shows(times: float) -> bool:
        less = error / math.sqrt(times)
        return radius(less, round(size * times), alpha) + sure * less <= effect

    low, high = 1.0, 1.0
    while not shows(high):
        low, high = high, 2 * high
        if high > FAR:
            return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return math.ceil((high - 1) * rows)


def _scale(tuned: int) -> float:
    """Return the variance of the mixture per entity that makes the intervals tightest at so many, for an alpha of 0.05."""
    log = -2 * math.log(0.05)
    return (log + math.log1p(log)) / tuned


def _outcome(gain: float, p_value: float, size: int, alpha: float) -> Outcome:
    if size < ENTITIES or not math.isfinite(gain):
        return "early"
    if p_value <= alpha:
        return "better" if gain > 0 else "worse"
    return "open"


def _told(found: Finding, champion: Side, metric: str, alpha: float, per_day: float) -> Finding:
    """Return a finding with its sentence."""
    side = found.side
    pair = f"version {side.version} and version {champion.version}, the champion"
    values = f"{metric} {side.value:.4g} against {champion.value:.4g}"
    bounds = f"({100 * (1 - alpha):g} % interval {found.low:+.3g} to {found.high:+.3g}, p {found.p_value:.2g})"
    if found.outcome == "early":
        sentence = (
            f"It is too early to compare {pair}: {side.labelled} rows of {side.entities} entities and {champion.labelled} of "
            f"{champion.entities} have a label, and {ENTITIES} entities on each side are the least."
        )
        if min(side.entities, champion.entities) >= ENTITIES:
            sentence = f"{metric} cannot be compared for {pair}: it is not defined on the rows of one of them."
    elif found.outcome == "open":
        sentence = f"No difference between {pair}, is seen yet: {values} {bounds}.{_still(found, per_day)}"
    else:
        versions = f"Version {side.version} is {found.outcome} than version {champion.version}, the champion"
        sentence = f"{versions}: {values}, by {abs(found.gain):.3g} {bounds}."
    return Finding(**{**vars(found), "sentence": sentence})


def _still(found: Finding, per_day: float) -> str:
    if found.needed is None:
        return ""
    if found.needed == 0:
        return f" A difference of {found.effect:.3g} would most likely have been seen."
    days = found.needed / per_day if per_day > 0 else 0.0
    time = f", {days:.1f} days at this rate," if days >= 1 else f", {24 * days:.1f} hours at this rate," if days else ""
    return f" About {found.needed} more labelled rows{time} would show a difference of {found.effect:.3g}."
