"""Episodes: one open per model, version and signal."""

from treadle.state import episodes, events
from treadle.state.episodes import Episode, Signal
from treadle.state.store import Store


def alarm(store: Store, version: int = 1, signal: Signal = "drift", at: float = 2.0) -> Episode:
    """Open an episode."""
    with store.write() as conn:
        return episodes.open_episode(conn, "churn", version=version, signal=signal, onset=1.0, evidence={"score": 0.5}, at=at)


def test_an_episode_that_is_open_is_not_opened_again(store: Store) -> None:
    first = alarm(store)
    assert alarm(store, at=9.0) == first
    with store.read() as conn:
        assert episodes.open_ones(conn, "churn") == [first]
        assert [event.kind for event in events.after(conn, 0)] == ["episode.opened"]


def test_each_version_and_signal_has_its_own(store: Store) -> None:
    opened = [alarm(store, 1, "drift", 1.0), alarm(store, 1, "quality", 2.0), alarm(store, 2, "drift", 3.0)]
    with store.read() as conn:
        assert episodes.open_ones(conn, "churn") == opened
        assert episodes.open_ones(conn, "iris") == []


def test_an_episode_ends_once(store: Store) -> None:
    opened = alarm(store)
    with store.write() as conn:
        closed = episodes.close_episode(conn, opened, outcome="recovered", at=3.0)
        again = episodes.close_episode(conn, opened, outcome="superseded", at=4.0)
    assert (closed.outcome, closed.closed_at) == ("recovered", 3.0)
    assert again == closed
    assert alarm(store).id != opened.id
    with store.read() as conn:
        assert [event.kind for event in events.after(conn, 0)] == ["episode.opened", "episode.closed", "episode.opened"]


def test_the_episodes_of_one_version_end_together(store: Store) -> None:
    for signal in ("drift", "quality"):
        alarm(store, 1, signal)
    other = alarm(store, 2)
    with store.write() as conn:
        closed = episodes.close_all(conn, "churn", version=1, outcome="superseded", at=5.0)
    assert sorted(one.signal for one in closed) == ["drift", "quality"]
    assert {(one.outcome, one.closed_at) for one in closed} == {("superseded", 5.0)}
    with store.read() as conn:
        assert episodes.open_ones(conn, "churn") == [other]
