"""The end of the demo: what was measured, as a table, and whether it went as it must."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from treadle.demo.healing import HEALED_FROM, Healing
from treadle.simulation.traffic import Tally
from treadle.stack import Addresses
from treadle.state.events import Event

STAYS_DOWN_BELOW = 0.2
"""Without retraining, at most this share of the gap may close by itself."""


@dataclass(frozen=True)
class Plan:
    """What the command line asks for: which arm of the experiment, and how it is shown."""

    seed: int = 1
    shift: bool = True
    retrain: bool = True
    step: bool = False
    stop: bool = False


@dataclass
class Times:
    """When things happened (epoch seconds), and what was sent and logged."""

    shifted: float | None = None
    alarmed: float | None = None
    promoted: float | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    logged: int = 0
    same: bool = False

    @property
    def failed(self) -> int:
        """How many requests got no good answer."""
        return sum(tally.failed for tally in self.tallies.values())


@dataclass(frozen=True)
class Outcome:
    """Whether the demo went as it must, in a sentence."""

    good: bool
    sentence: str


def judge(plan: Plan, healing: Healing, times: Times, told: Sequence[Event]) -> Outcome:
    """Say whether the run went as it must for its arm: healed, calm, or down."""
    if times.failed:
        first = next(tally.failures[0] for tally in times.tallies.values() if tally.failures)
        return Outcome(good=False, sentence=f"{times.failed} requests failed; the first: {first}")
    if not times.same:
        return Outcome(good=False, sentence="The log is not what the clients received.")
    if not plan.shift:
        return _calm(told)
    return _healed(healing, times, told) if plan.retrain else _down(healing, told)


def _healed(healing: Healing, times: Times, told: Sequence[Event]) -> Outcome:
    if times.promoted is None:
        return Outcome(good=False, sentence=f"NOT healed: no better model was promoted. {_last_turn(told)}")
    closed = f"{healing.closed:.0%} of the gap to the oracle is closed"
    if not healing.healed:
        return Outcome(good=False, sentence=f"NOT healed: only {closed}; {HEALED_FROM:.0%} are needed.")
    return Outcome(good=True, sentence=f"Healed: {closed}, and nobody was called.")


def _calm(told: Sequence[Event]) -> Outcome:
    alarms = [event for event in told if event.kind in {"episode.opened", "turn.opened"}]
    if alarms:
        return Outcome(good=False, sentence=f"The world did not change, but there was an alarm: {alarms[0].kind} for {alarms[0].model}.")
    return Outcome(good=True, sentence="The world did not change: no alarm, nothing retrained.")


def _down(healing: Healing, told: Sequence[Event]) -> Outcome:
    if any(event.kind == "turn.opened" for event in told):
        return Outcome(good=False, sentence="Retraining was switched off, but a turn was opened.")
    if healing.closed > STAYS_DOWN_BELOW:
        return Outcome(good=False, sentence="Retraining was switched off, but the model did not stay down.")
    return Outcome(good=True, sentence=f"Nobody retrained, and the model stays down at {healing.metric} {healing.after:.3f}.")


def _last_turn(told: Sequence[Event]) -> str:
    closed = [event for event in told if event.kind == "turn.closed"]
    return str(closed[-1].data.get("reason", "")) if closed else "The turn had not ended in time."


def table(healing: Healing, times: Times, addresses: Addresses, *, shift: bool) -> Table:
    """Return the closing table."""
    drawn = Table(title="churn, before and after", show_header=False, title_justify="left")
    drawn.add_column(style="bold")
    drawn.add_column()
    metric = healing.metric
    drawn.add_row(f"{metric} before the change", f"{healing.before:.3f}")
    if shift:
        drawn.add_row(f"{metric} after it, old model", f"{healing.during:.3f}")
        drawn.add_row(f"{metric} after it, present champion", f"{healing.after:.3f}")
        drawn.add_row(f"{metric} of the oracle", f"{healing.oracle:.3f}")
        drawn.add_row("gap to the oracle closed", f"{healing.closed:.0%}")
        drawn.add_row("from the change to the alarm", _seconds(times.shifted, times.alarmed))
        drawn.add_row("from the change to the new champion", _seconds(times.shifted, times.promoted))
    drawn.add_section()
    drawn.add_row("requests sent", str(sum(tally.requests for tally in times.tallies.values())))
    drawn.add_row("requests failed", str(times.failed))
    drawn.add_row("rows answered", str(sum(len(tally.received) for tally in times.tallies.values())))
    drawn.add_row("rows logged", f"{times.logged} ({'the same' if times.same else 'NOT the same'})")
    drawn.add_row("labels told", str(sum(tally.labels for tally in times.tallies.values())))
    drawn.add_section()
    drawn.add_row("API", f"{addresses.api}/docs")
    drawn.add_row("MLflow", addresses.tracking)
    drawn.add_row("metrics", f"{addresses.api}/metrics, {addresses.controller}")
    return drawn


def _seconds(start: float | None, end: float | None) -> str:
    return "never" if start is None or end is None else f"{end - start:.1f} s"
