"""Whether an alarm opens a turn of the loop. Pure: a situation in, a decision with its sentence out."""

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.spec import RetrainPolicy
from treadle.state.episodes import Episode
from treadle.state.pauses import Pause
from treadle.state.turns import Turn
from treadle.times import when

PROMOTED = "promoted"
SUPERSEDED = "superseded"

DRILL = "drill"
"""Key in the data of a turn that was planted to try the loop: how it ends says nothing about the model."""

QUIET_OUTCOMES = frozenset({PROMOTED, SUPERSEDED})
"""Outcomes that are no failure of the loop."""


@dataclass(frozen=True)
class Situation:
    """What is known about one model when the policy is asked.

    ``recent`` are the turns that closed since the champion took its role, newest first; ``new_labels`` counts the
    labels that matured since the last of them closed; ``pause`` is a person's, while it holds.
    """

    episodes: Sequence[Episode]
    open_turn: Turn | None
    recent: Sequence[Turn]
    new_labels: int
    now: float
    pause: Pause | None = None


@dataclass(frozen=True)
class Decision:
    """Whether to open a turn, for which episode, and why in one sentence. ``ask`` says that a person is needed."""

    episode: Episode | None
    reason: str
    ask: bool = False


def failures_in_a_row(recent: Sequence[Turn]) -> int:
    """Count the failed turns since the last one that was not, in turns given newest first."""
    count = 0
    for turn in recent:
        if turn.outcome in QUIET_OUTCOMES:
            break
        count += 1
    return count


def decide(situation: Situation, policy: RetrainPolicy, *, enabled: bool = True) -> Decision:
    """Decide whether a turn opens now."""
    if situation.pause is not None:
        return Decision(None, pause_sentence(situation.pause))
    if not situation.episodes:
        return Decision(None, "Nothing is wrong: no episode is open.")
    if situation.open_turn is not None:
        return Decision(None, f"A turn is already open, at the step {situation.open_turn.step!r}.")
    if not (enabled and policy.automatic):
        where = "in the policy (retrain.automatic)" if enabled else "by the setting TREADLE_RETRAINING"
        return Decision(None, f"An episode is open, but automatic retraining is switched off {where}.")
    episode = min(situation.episodes, key=lambda one: one.opened_at)
    blocked = _blocked(situation, policy)
    if blocked is not None:
        return blocked
    return Decision(episode, f"The {episode.signal} episode of version {episode.version} is open and nothing holds a retraining back.")


def pause_sentence(pause: Pause) -> str:
    """Return who has paused a loop, when, why, and how it goes on."""
    return f"Paused by {pause.actor} on {when(pause.at)}: {pause.reason.rstrip('.')}. `treadle resume {pause.model}` lets it go on."


def _blocked(situation: Situation, policy: RetrainPolicy) -> Decision | None:
    """Return why a turn must wait after failed ones, if it must."""
    failures = failures_in_a_row(situation.recent)
    if not failures:
        return None
    if failures >= policy.max_failures:
        return Decision(
            None,
            f"{failures} turns in a row have failed (retrain.max_failures is {policy.max_failures}); a person is asked to look.",
            ask=True,
        )
    rested = situation.now - (situation.recent[0].closed_at or situation.now)
    if rested < policy.backoff:
        return Decision(None, f"The last turn failed {rested:.0f} s ago; the loop rests for {policy.backoff:.0f} s (retrain.backoff).")
    if situation.new_labels < policy.new_labels:
        return Decision(
            None,
            f"Only {situation.new_labels} labels have matured since the last turn failed, of {policy.new_labels} (retrain.new_labels).",
        )
    return None
