"""What happened, as a diary: a headline per day, a line per event."""

import time
from collections.abc import Iterable, Iterator

from rich.markup import escape

from treadle.console.narration import tell
from treadle.console.screen import STYLES
from treadle.registry.consent import Standing
from treadle.state.events import Event
from treadle.state.heads import Audit
from treadle.state.pauses import Pause
from treadle.times import when


class Diary:
    """Turns events into lines with rich's markup; a day is named before its first event."""

    def __init__(self) -> None:
        self._day = ""

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """Yield the lines of these events, which follow those that were given before."""
        for event in events:
            moment = time.localtime(event.at)
            day = time.strftime("%A, %d %B %Y", moment)
            if day != self._day:
                yield f"{'' if not self._day else chr(10)}[bold]{day}[/bold]"
                self._day = day
            line = tell(event)
            colour, text = STYLES[line.style], escape(line.text)
            yield f"[dim]{time.strftime('%H:%M:%S', moment)}[/dim]  {f'[{colour}]{text}[/{colour}]' if colour else text}"


def audit_text(audit: Audit) -> str:
    """Return what was checked, for a person."""
    if not audit.events:
        return "Nothing has happened here yet, so there is nothing to check."
    checked = f"{counted(audit.events, 'event')} checked: each follows from the one before it."
    if audit.last is None:
        return checked
    signed = f"They pass through {counted(audit.heads, 'signed head')}, the last one at number {audit.last.seq}, signed "
    signed += f"on {when(audit.last.at)}."
    rest = f"{counted(audit.unsigned, 'event')} after it {'is' if audit.unsigned == 1 else 'are'} not signed yet."
    lines = [checked, signed, rest if audit.unsigned else "Nothing has happened since."]
    if audit.restart is not None:
        one = audit.restart
        before = counted(one.unsigned, "event")
        lines += [
            f"But no head vouches for the {before} before number {one.seq}: the heads were lost, and begin anew there, on {when(one.at)}.",
            f"Accepted on {when(one.accepted_at)}, by {one.actor}: {one.reason.rstrip('.')}.",
        ]
    return "\n".join(lines)


def consent_text(standing: Standing) -> str:
    """Return how a version stands with the people, and what comes next, for a person."""
    return " ".join(part for part in (standing.sentence, _following(standing)) if part)


def _following(standing: Standing) -> str:
    if standing.champion and not standing.refusals:
        return "It is the champion, so that nothing is left to do."
    if standing.champion:
        back = f"`treadle rollback {standing.model}` brings the one before it back"
        other = f"`treadle train {standing.model}` makes another one"
        return f"It is the champion, and goes on answering: {back if standing.replaceable else other}."
    if standing.refusals:
        return "The loop's turn ends." if standing.awaited else ""
    return "The loop waits for it and goes on by itself." if standing.awaited and standing.given else f"Next: {standing.next}."


def pause_text(pause: Pause | None, model: str) -> str:
    """Return which way the switch of a model's loop stands, for a person."""
    if pause is None:
        return f"{model} is not paused."
    what = "is paused since" if pause.paused else "goes on since"
    following = f" `treadle resume {model}` lets it go on." if pause.paused else ""
    return f"{model} {what} {when(pause.at)}, by {pause.actor}: {pause.reason.rstrip('.')}.{following}"


def counted(count: int, what: str) -> str:
    """Return how many there are of something, in words."""
    return f"{count} {what}{'' if count == 1 else 's'}"
