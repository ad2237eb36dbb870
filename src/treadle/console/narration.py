"""Events as lines for a person: one short sentence per kind, in a colour that says good, bad or changing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from treadle.state.events import Event
from treadle.times import when

Facts = Mapping[str, Any]

MACHINES = {"treadle", "worker"}
"""Actors that are nobody."""


@dataclass(frozen=True)
class Line:
    """What to print for an event; ``style`` is a key of ``console.screen.STYLES``."""

    text: str
    style: str = "plain"


def narrate(kind: str, model: str | None, facts: Facts) -> Line:
    """Return the line for an event; one of a kind that only a newer Treadle knows is shown as it is recorded."""
    tell = LINES.get(kind)
    line = tell(facts) if tell is not None else Line(f"{kind} {dict(facts)}", "quiet")
    return Line(f"{model}: {line.text}" if model else line.text, line.style)


def tell(event: Event) -> Line:
    """Return the line for an event, with the person who acted, if one did."""
    line = narrate(event.kind, event.model, event.data)
    return line if event.actor in MACHINES else Line(f"{line.text} ({event.actor})", line.style)


def _deployed(facts: Facts) -> Line:
    roles = ", ".join(f"v{slot['version']} {slot['role']} {slot['weight']:.0%}" for slot in facts["slots"])
    return Line(f"deployed, generation {facts['generation']}: {roles}. {facts['reason']}", "good")


def _verdict(facts: Facts) -> Line:
    if facts["passed"] and facts["kind"] == "gate":
        return Line(f"version {facts['version']} passes the gate, {len(facts['reasons'])} clauses{_compared(facts['reasons'])}", "good")
    said = "passes" if facts["passed"] else "does not pass"
    return Line(
        f"version {facts['version']} {said} the {facts['kind']}: {' '.join(facts['reasons'])}", "good" if facts["passed"] else "bad"
    )


def _compared(reasons: Sequence[str]) -> str:
    """Return the clause that compares with the champion, which is the one that a person asks for first."""
    return next((f": {reason}" for reason in reasons if "champion version" in reason), "")


def _episode(facts: Facts) -> Line:
    # The first sentence says what has happened; the rest of the evidence is in the record.
    return Line(f"ALARM, {facts['signal']} of version {facts['version']}: {facts['evidence']['reasons'][0]}", "bad")


def _validated(facts: Facts) -> Line:
    if not facts["warnings"]:
        return Line(f"the rows keep the contract; {facts['report']}", "quiet")
    more = f" (and {facts['warnings'] - 1} more)" if facts["warnings"] > 1 else ""
    return Line(f"the rows keep the contract, with a warning: {facts['first']}{more}; {facts['report']}", "quiet")


def _trained(facts: Facts) -> Line:
    value = facts["value"]
    return Line(f"trained and exported: {facts['metric']} {'not measured' if value is None else f'{value:.3f}'} on the holdout")


def _overridden(facts: Facts) -> Line:
    found, restored = (f"version {facts[key]}" if facts[key] is not None else "no version" for key in ("found", "restored"))
    return Line(f"the alias {facts['alias']} was moved by hand in MLflow to {found}; it names {restored} again", "bad")


def _one_line(error: str) -> str:
    """Return an error's sentence, details and fix in one line."""
    return " ".join(line.removeprefix("  - ") for line in error.splitlines())


def _turn_advanced(facts: Facts) -> Line:
    return Line(str(facts["data"].get("seen") or _STEPS.get(facts["step"], facts["step"])), "change")


def _turn_closed(facts: Facts) -> Line:
    return Line(f"the turn ends: {facts['outcome']}. {facts['reason']}", "good" if facts["outcome"] == "promoted" else "bad")


def _asked(facts: Facts) -> Line:
    people, of = facts["people"], facts["of"]
    whom = f"{people} of {', '.join(of)}" if of else "1 person" if people == 1 else f"{people} people"
    return Line(f"version {facts['version']} has passed the gate; {whom} must agree before it meets live traffic", "change")


_STEPS = {
    "train": "the rows are snapshotted; a challenger is trained",
    "judge": "the challenger is registered; later rows of other entities will judge it",
    "consent": "the challenger waits for consent",
    "canary": "the challenger meets live traffic",
}

LINES: Mapping[str, Callable[[Facts], Line]] = {
    "audit.began": lambda _facts: Line("the record begins, and is signed from here on", "quiet"),
    "audit.restarted": lambda facts: Line(
        f"the signed heads of the record were gone; what lies before, {facts['unsigned']} events, is vouched for by none", "bad"
    ),
    "audit.accepted": lambda facts: Line(
        f"that no signed head vouches for the {facts['unsigned']} events before number {facts['restart']} is accepted: {facts['reason']}",
        "change",
    ),
    "data.snapshotted": lambda facts: Line(
        f"{facts['rows']} rows from {facts['source']}, checked and kept as snapshot {facts['digest'][:12]}"
    ),
    "data.validated": _validated,
    "data.refused": lambda facts: Line(f"the data are refused: {_one_line(facts['error'])}", "bad"),
    "training.finished": _trained,
    "training.failed": lambda facts: Line(f"the training failed: {_one_line(facts['error'])}", "bad"),
    "version.registered": lambda facts: Line(f"version {facts['version']} is registered, bundle {facts['digest'][:12]}"),
    "verdict.recorded": _verdict,
    "shadow.reported": lambda facts: Line(
        f"version {facts['version']} was in the shadow: {facts['rows']} rows, {facts['disagreed']} answered otherwise, "
        f"{facts['failed']} failed"
    ),
    "deployment.changed": _deployed,
    "deployment.followed": lambda facts: Line(f"a worker follows generation {facts['generation']}", "quiet"),
    "bundle.refused": lambda facts: Line(f"a worker refuses generation {facts['generation']}: {facts['reason']}", "bad"),
    "breaker.opened": lambda facts: Line(
        f"a worker leaves version {facts['version']} alone, which has failed {facts['failures']} times in a row: {facts['error']}", "bad"
    ),
    "breaker.closed": lambda facts: Line(f"version {facts['version']} answers again, and that worker asks it", "good"),
    "episode.opened": _episode,
    "episode.closed": lambda facts: Line(
        f"the {facts['signal']} episode of version {facts['version']} closes: {facts['outcome']}", "quiet"
    ),
    "turn.opened": lambda facts: Line(f"a turn of the loop opens. {facts['cause']}", "change"),
    "turn.advanced": _turn_advanced,
    "turn.closed": _turn_closed,
    "approval.needed": _asked,
    "consent.given": lambda facts: Line(f"version {facts['version']} is approved: {facts['reason']}", "good"),
    "consent.refused": lambda facts: Line(f"version {facts['version']} is refused by a person: {facts['reason']}", "bad"),
    "consent.unplaced": lambda facts: Line(
        f"{facts['actor']} wanted to {facts['decision']} version {facts['version']}, on which there was no verdict: nothing was changed",
        "bad",
    ),
    "key.added": lambda facts: Line(f"{facts['name']} has a key now: {', '.join(facts.get('roles') or [facts['role']])}", "change"),
    "key.rotated": lambda facts: Line(f"the key of {facts['name']} has a new token", "change"),
    "api.called": lambda facts: Line(f"the API was asked to {facts['method']} {facts['path']}: {facts['status']}"),
    "key.removed": lambda facts: Line(f"the key of {facts['name']} is taken back", "change"),
    "loop.paused": lambda facts: Line(f"the loop is paused: {facts['reason']}", "change"),
    "loop.resumed": lambda facts: Line(f"the loop goes on: {facts['reason']}", "change"),
    "alias.overridden": _overridden,
    "gc.removed": lambda facts: Line(
        f"removed: {facts['count']} of {facts['what']}, about {facts['bytes'] / 1e6:.1f} MB. {facts['reason']}", "quiet"
    ),
    "backup.made": lambda facts: Line(
        f"a backup was made at {facts['folder']}, {facts['bytes'] / 1e6:.1f} MB, as of {when(facts['as_of'])}, up to event {facts['last']}",
        "good",
    ),
    "backup.restored": lambda facts: Line(
        f"restored from the backup {facts['source']}, as of {when(facts['as_of'])}, up to event {facts['last']}; "
        "what came after that moment is not here",
        "change",
    ),
    "model.reset": lambda facts: Line(f"reset: {facts['rows']} rows and all versions were removed", "change"),
    "person.needed": lambda facts: Line(f"a person is needed: {facts['reason']}", "bad"),
    "controller.stumbled": lambda facts: Line(f"the controller stumbled: {_one_line(facts['error'])}", "bad"),
    "profile.uncounted": lambda facts: Line(
        f"{facts['rows']} logged rows of version {facts['version']} are missing in the live profile: {_one_line(facts['reason'])}", "bad"
    ),
    "labels.imported": lambda facts: Line(
        f"{facts['new']} new labels from {facts['file']}: {facts['joined']} joined, {facts['waiting']} wait for their prediction"
    ),
    "log.damaged": lambda facts: Line(
        f"the log segment {facts['segment']} is damaged: bytes {facts['from']} to {facts['to']} cannot be read", "bad"
    ),
    "log.unknown": lambda facts: Line(
        f"the log segment {facts['segment']} holds {facts['records']} records of a kind that this version of Treadle does not know", "bad"
    ),
    "log.refused": lambda facts: Line(
        f"the store refused a record of the log segment {facts['segment']} ({facts['error']}); the segment is kept", "bad"
    ),
}
