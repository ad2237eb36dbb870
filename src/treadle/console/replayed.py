"""What `treadle replay` shows: sentences for both policies, and their episodes side by side."""

from collections import defaultdict
from itertools import zip_longest

from rich.table import Table

from treadle.retraining.past import Replay
from treadle.retraining.replay import Played
from treadle.state.episodes import Episode
from treadle.times import span, when


def text(done: Replay) -> str:
    """Return the replay in sentences."""
    lines = [f"{done.model} from {when(done.since)} to {when(done.until)}, looked at every {span(done.step)}."]
    lines += [f"  {change.key}: {change.present} becomes {change.proposed}" for change in done.changes] or [
        "  The two policies are the same."
    ]
    lines += [f"The present policy {said(done.present)}", f"The new policy {said(done.proposed)}", *(f"  ({note})" for note in done.notes)]
    return "\n".join(lines)


def said(played: Played) -> str:
    """Return what a policy would have done, as the end of a sentence."""
    if not played.episodes:
        return "would never have alarmed."
    first = min(played.episodes, key=lambda one: one.opened_at)
    alarms = (
        f"would have alarmed {_times(len(played.episodes))}, first at {when(first.opened_at)} ({first.signal} of version {first.version})"
    )
    turns = f"opened {len(played.turns)} {'turn' if len(played.turns) == 1 else 'turns'} of the loop" if played.turns else "opened no turn"
    began = f", first at {when(played.turns[0].opened_at)}" if played.turns else ""
    asked = f", and asked a person {_times(len(played.asked))}" if played.asked else ""
    return f"{alarms}, and {turns}{began}{asked}."


def table(done: Replay) -> Table | None:
    """Return the episodes of both policies side by side; None where there are none."""
    sides: dict[tuple[int, str], tuple[list[Episode], list[Episode]]] = defaultdict(lambda: ([], []))
    for side, played in enumerate((done.present, done.proposed)):
        for one in played.episodes:
            sides[one.version, one.signal][side].append(one)
    if not sides:
        return None
    drawn = Table(title="Episodes")
    for column in ("version", "signal", "present policy", "new policy"):
        drawn.add_column(column, overflow="fold")
    for (version, signal), (present, proposed) in sorted(sides.items()):
        for left, right in zip_longest(present, proposed):
            drawn.add_row(str(version), signal, _episode(left), _episode(right))
    return drawn


def _episode(one: Episode | None) -> str:
    if one is None:
        return "-"
    end = "still open" if one.closed_at is None else f"{one.outcome} {when(one.closed_at)}"
    return f"{when(one.opened_at)}, {end}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
