"""Turns: at most one open per model, each change told."""

import pytest

from treadle.errors import TurnAlreadyOpen, TurnClosed
from treadle.state import events, turns
from treadle.state.store import Store
from treadle.state.turns import Turn


def begin(store: Store, model: str = "churn", at: float = 1.0) -> Turn:
    """Open a turn."""
    with store.write() as conn:
        return turns.open_turn(conn, model, cause="Drift.", episode="e1", step="collect", at=at, data={"onset": 0.5})


def test_a_turn_from_its_opening_to_its_end(store: Store) -> None:
    opened = begin(store)
    with store.write() as conn:
        assert turns.current(conn, "churn") == opened
        advanced = turns.advance(conn, opened, step="train", at=2.0, data={"rows": 7})
        assert turns.current(conn, "churn") == advanced
        closed = turns.close(conn, advanced, outcome="promoted", reason="It is better.", at=3.0)
    assert advanced.data == {"onset": 0.5, "rows": 7}
    assert (closed.step, closed.opened_at, closed.updated_at, closed.closed_at) == ("train", 1.0, 3.0, 3.0)
    with store.read() as conn:
        assert turns.current(conn, "churn") is None
        assert turns.recent(conn, "churn") == [closed]
        told = events.after(conn, 0)
    assert [event.kind for event in told] == ["turn.opened", "turn.advanced", "turn.closed"]
    assert {event.data["turn"] for event in told} == {opened.id}


def test_a_second_turn_of_a_model_is_refused_and_names_the_first(store: Store) -> None:
    first = begin(store)
    with pytest.raises(TurnAlreadyOpen, match="at step collect") as caught:
        begin(store)
    assert caught.value.turn == first.id
    assert begin(store, "iris").model == "iris"


def test_a_turn_that_ended_cannot_go_on(store: Store) -> None:
    turn = begin(store)
    with store.write() as conn:
        turns.close(conn, turn, outcome="refused", reason="Worse.", at=2.0)
    with pytest.raises(TurnClosed), store.write() as conn:
        turns.advance(conn, turn, step="train", at=3.0, data={})
    with pytest.raises(TurnClosed), store.write() as conn:
        turns.close(conn, turn, outcome="promoted", reason="Better.", at=3.0)
    with store.read() as conn:
        assert [one.outcome for one in turns.recent(conn, "churn")] == ["refused"]
        assert events.verify(conn) == 2


def test_recent_turns_come_newest_first(store: Store) -> None:
    for at in (1.0, 2.0, 3.0):
        turn = begin(store, at=at)
        if at < 3:
            with store.write() as conn:
                turns.close(conn, turn, outcome="refused", reason="Worse.", at=at)
    with store.read() as conn:
        assert [one.opened_at for one in turns.recent(conn, "churn")] == [3.0, 2.0, 1.0]
        assert [one.opened_at for one in turns.recent(conn, "churn", limit=2)] == [3.0, 2.0]
