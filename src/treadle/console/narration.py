"""Events as lines for a person: one short sentence per kind, in a colour that says good, bad or changing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """What to print for an event; ``style`` is a key of ``console.screen.STYLES``."""

    text: str
    style: str = "plain"


def narrate(kind: str, model: str | None, facts: Facts) -> Line | None:
    """Return the line for an event, or None for one that only the record needs."""
    if kind in _SILENT:
        return None
    tell = _LINES.get(kind)
    line = tell(facts) if tell is not None else Line(f"{kind} {dict(facts)}", "quiet")
    return Line(f"{model}: {line.text}" if model else line.text, line.style)


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


def _turn_advanced(facts: Facts) -> Line:
    return Line(str(facts["data"].get("seen") or _STEPS.get(facts["step"], facts["step"])), "change")


def _turn_closed(facts: Facts) -> Line:
    return Line(f"the turn ends: {facts['outcome']}. {facts['reason']}", "good" if facts["outcome"] == "promoted" else "bad")


_STEPS = {
    "train": "the rows are snapshotted; a challenger is trained",
    "judge": "the challenger is registered; later rows of other entities will judge it",
    "canary": "the challenger meets live traffic",
}

_SILENT = frozenset({"worker.started", "worker.stopped"})

_LINES: Mapping[str, Callable[[Facts], Line]] = {
    "data.snapshotted": lambda facts: Line(
        f"{facts['rows']} rows from {facts['source']}, checked and kept as snapshot {facts['digest'][:12]}"
    ),
    "data.refused": lambda facts: Line(f"the data are refused: {facts['error']}", "bad"),
    "training.finished": lambda facts: Line(f"trained and exported: {facts['metric']} {facts['value']:.3f} on the holdout"),
    "training.failed": lambda facts: Line(f"the training failed: {facts['error']}", "bad"),
    "version.registered": lambda facts: Line(f"version {facts['version']} is registered, bundle {facts['digest'][:12]}"),
    "verdict.recorded": _verdict,
    "deployment.changed": _deployed,
    "deployment.followed": lambda facts: Line(f"a worker follows generation {facts['generation']}", "quiet"),
    "bundle.refused": lambda facts: Line(f"a worker refuses generation {facts['generation']}: {facts['reason']}", "bad"),
    "episode.opened": _episode,
    "episode.closed": lambda facts: Line(
        f"the {facts['signal']} episode of version {facts['version']} closes: {facts['outcome']}", "quiet"
    ),
    "turn.opened": lambda facts: Line(f"a turn of the loop opens. {facts['cause']}", "change"),
    "turn.advanced": _turn_advanced,
    "turn.closed": _turn_closed,
    "alias.overridden": lambda facts: Line(f"an alias moved by hand in MLflow is put back: {dict(facts)}", "bad"),
    "person.needed": lambda facts: Line(f"a person is needed: {facts['reason']}", "bad"),
    "controller.stumbled": lambda facts: Line(f"the controller stumbled: {facts['error']}", "bad"),
}
