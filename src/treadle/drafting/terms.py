"""The policy of a draft: what is asked of a model, from what its target is like. Pure.

The numbers are where to start. They are chosen so that chance alone neither refuses a model nor raises an alarm: where few rows are
positive, more rows are waited for and wider margins are kept.
"""

from dataclasses import dataclass

from treadle.drafting.goal import Goal

POSITIVES = 200
"""So many rows of the rarer class are waited for before a model is retrained."""
JUDGED = 80
"""And so many to judge it by."""
QUICK_POSITIVES, QUICK_JUDGED = 45, 24
"""The same for a demonstration, where a minute must do."""


@dataclass(frozen=True)
class Terms:
    """The numbers of a policy that depend on the target: margins in the units of the metric, counts in rows."""

    metric: str
    baseline_margin: float
    champion_margin: float
    max_drop: float
    gate_rows: int
    quality_rows: int
    retrain_rows: int
    judge_rows: int
    why: str


def terms(goal: Goal) -> Terms:
    """Return what the drafted policy asks for."""
    share = goal.share or 1.0
    retrain, judge = _enough(POSITIVES, share, 1000, 20_000), _enough(JUDGED, share, 500, 8000)
    baseline, champion, drop, why = _margins(goal)
    return Terms(goal.metric, baseline, champion, drop, 30, judge, retrain, judge, why)


def quick_terms(goal: Goal) -> Terms:
    """Return the same for the overlay in which days are seconds."""
    share = goal.share or 1.0
    retrain, judge = _enough(QUICK_POSITIVES, share, 1000, 3000), _enough(QUICK_JUDGED, share, 500, 1500)
    baseline, champion, drop, why = _margins(goal)
    # With so few rows of the rarer class the intervals are wide: a better model must not be refused for that.
    return Terms(goal.metric, baseline, 3 * champion if goal.imbalanced else champion, drop, 30, judge, retrain, judge, why)


def _margins(goal: Goal) -> tuple[float, float, float, str]:
    """Return baseline margin, champion margin, largest drop, and what they are measured in."""
    if goal.task == "regression":
        spread = goal.spread
        return (
            _two_digits(spread / 20),
            _two_digits(spread / 50),
            _two_digits(spread / 10),
            f"in units of {goal.name}; its standard deviation is {spread:.3g}, and these are 5 %, 2 % and 10 % of it",
        )
    if goal.imbalanced:
        return _two_digits(goal.share), 0.05, 0.15, f"a model that knows nothing has {goal.share:.2g}, the share of the rarer class"
    return (0.05, 0.02, 0.05, "a model that knows nothing has 0.5") if goal.task == "binary" else (0.05, 0.02, 0.07, "between 0 and 1")


def _enough(positives: int, share: float, least: int, most: int) -> int:
    """Return the rows among which so many of the rarer class are expected, in round numbers between two bounds."""
    wanted = min(max(positives / share, least), most)
    return round(wanted / 100) * 100


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
