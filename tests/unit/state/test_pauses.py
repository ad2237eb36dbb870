"""A switch per model: which way it stands, who turned it, and for how long it held."""

import pytest

from treadle.state import events, pauses
from treadle.state.store import Store


def turn(store: Store, at: float, *, paused: bool, model: str = "churn") -> pauses.Pause | None:
    with store.write() as conn:
        return pauses.turn(conn, model, paused=paused, reason=f"at {at:.0f}", actor="ada", at=at)


def test_a_pause_holds_until_it_is_ended_and_for_its_model_alone(store: Store) -> None:
    made = turn(store, 10.0, paused=True)
    with store.read() as conn:
        assert pauses.current(conn, "churn") == made == pauses.Pause("churn", 1, paused=True, reason="at 10", actor="ada", at=10.0)
        assert pauses.current(conn, "iris") is None
    turn(store, 20.0, paused=False)
    with store.read() as conn:
        assert pauses.current(conn, "churn") is None
        assert [(event.kind, event.actor, event.data) for event in events.after(conn, 0)] == [
            ("loop.paused", "ada", {"reason": "at 10"}),
            ("loop.resumed", "ada", {"reason": "at 20"}),
        ]


def test_what_is_so_already_is_not_done_again(store: Store) -> None:
    assert turn(store, 1.0, paused=False) is None
    first = turn(store, 2.0, paused=True)
    assert turn(store, 3.0, paused=True) == first
    last = turn(store, 4.0, paused=False)
    assert turn(store, 5.0, paused=False) == last
    with store.read() as conn:
        assert events.last_seq(conn) == 2


@pytest.mark.parametrize(
    ("since", "until", "seconds"), [(0, 100, 45), (12, 18, 6), (15, 35, 10), (21, 29, 0), (30, 31, 1), (70, 95, 15), (0, 5, 0)]
)
def test_how_long_it_was_paused_between_two_moments(store: Store, since: float, until: float, seconds: float) -> None:
    for at, paused in ((10, True), (20, False), (30, True), (45, False), (80, True)):
        turn(store, at, paused=paused)
    with store.read() as conn:
        assert pauses.held(conn, "churn", since=since, until=until) == seconds
        assert pauses.held(conn, "iris", since=since, until=until) == 0
