"""What the state of one model holds: bundles of roles, the work of an open turn, rows that something still looks at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from treadle.retention.things import Hold, Key, Need
from treadle.spec import Policy
from treadle.state import deployments, episodes, turns
from treadle.state.deployments import Deployment
from treadle.state.episodes import Episode
from treadle.state.turns import Turn


@dataclass(frozen=True)
class Standing:
    """Where one model stands: every generation, oldest first, the open turn, and the open episodes."""

    model: str
    history: Sequence[Deployment]
    turn: Turn | None
    episodes: Sequence[Episode]


def read_standing(conn: Connection, model: str) -> Standing:
    """Read where a model stands."""
    return Standing(model, deployments.history(conn, model), turns.current(conn, model), episodes.open_ones(conn, model))


def holds(standing: Standing, generations: int) -> Iterator[Hold]:
    """Yield what must stay: the bundles that a rollback of up to ``generations`` could bring back, and what a turn works on."""
    model, history = standing.model, standing.history
    back = deployments.before(history)
    reachable = [*reversed(history[-generations:]), *([back] if back is not None else [])]
    for deployment in reachable:
        now = deployment is history[-1]
        for slot in deployment.slots:
            by = f"{slot.role} {'now' if now else f'in generation {deployment.generation}, to which a rollback can return'}"
            yield Hold(Key("version", model, str(slot.version)), by)
            yield Hold(Key("bundle", model, slot.digest), by)
    for episode in standing.episodes:
        yield Hold(Key("version", model, str(episode.version)), f"the {episode.signal} episode is open")
    if standing.turn is not None:
        yield from _worked_on(standing.turn)


def _worked_on(turn: Turn) -> Iterator[Hold]:
    """Yield all that an open turn names, under whatever key its steps have noted it."""
    by = f"a turn is open, at the step {turn.step!r}"
    named = set(_texts(turn.data))
    for kind in ("version", "bundle", "snapshot"):
        yield from (Hold(Key(kind, turn.model, name), by) for name in sorted(named))
    yield Hold(Key("training log", turn.model, turn.id), by)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str | int):
        yield str(value)


def needs(standing: Standing, policy: Policy, now: float) -> Iterator[Need]:
    """Yield from when on rows are needed: by the windows of the policy, an open episode, an open turn, and a rejoining label."""
    model = standing.model
    yield Need(model, now - policy.drift.window, "the drift window (drift.window)")
    yield Need(model, now - policy.labels.maturity - policy.quality.window, "the quality window (labels.maturity, quality.window)")
    for episode in standing.episodes:
        begin = min([episode.onset, *_times(episode.evidence.get("window"))])
        yield Need(model, begin, f"the {episode.signal} episode is open")
    if standing.turn is not None:
        begin = min([standing.turn.opened_at, *(float(standing.turn.data[key]) for key in ("onset", "cut") if key in standing.turn.data)])
        yield Need(model, begin, "a turn is open")


def _times(window: Any) -> list[float]:
    return [float(time) for time in window] if isinstance(window, list) else []
