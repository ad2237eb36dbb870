"""Several real processes at one store: one wins, the others are told, and nothing is lost."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from tests.integration.state import writers
from tests.integration.state.writers import Pair
from tests.unit.state.rows import expected, joined
from treadle.state import deployments, episodes, events, schema, turns
from treadle.state.store import Store, open_store

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Yield two processes."""
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def opened(store_url: str) -> Store:
    """Return a store whose tables are there."""
    store = open_store(store_url)
    store.close()
    return store


def test_all_may_make_the_tables_at_once(pair: Pair, store_url: str) -> None:
    assert sorted(pair.run(writers.make_tables, store_url)) == [1, 2]


def test_of_two_writers_of_a_generation_exactly_one_wins(pair: Pair, store_url: str, opened: Store) -> None:
    first, second = pair.run(writers.insert_generations, store_url)
    assert sorted([*first, *second]) == list(range(1, 21))
    with opened.read() as conn:
        record = deployments.history(conn, "churn")
        assert events.verify(conn) == 20
    assert [one.champion.version for one in record if one.champion] == [0 if number in first else 1 for number in range(1, 21)]
    opened.close()


def test_of_two_turns_opened_at_once_one_wins(pair: Pair, store_url: str, opened: Store) -> None:
    won = [turn for turn in pair.run(writers.open_a_turn, store_url) if turn is not None]
    with opened.read() as conn:
        assert [turn.id for turn in turns.recent(conn, "churn")] == won
        assert len(won) == events.verify(conn) == 1
    opened.close()


def test_an_episode_opened_twice_at_once_is_one(pair: Pair, store_url: str, opened: Store) -> None:
    found = pair.run(writers.open_an_episode, store_url)
    with opened.read() as conn:
        assert {episode.id for episode in episodes.open_ones(conn, "churn")} == set(found)
        assert events.verify(conn) == 1
    opened.close()


def test_one_holder_gets_the_lease(pair: Pair, store_url: str, opened: Store) -> None:
    assert sorted(pair.run(writers.take_the_lease, store_url), key=str) == [1, None]
    opened.close()


def test_the_chain_holds_with_two_writers_and_broken_transactions(pair: Pair, store_url: str, opened: Store) -> None:
    kept = pair.run(writers.append_many, store_url)
    with opened.read() as conn:
        assert events.verify(conn) == sum(kept) == 300
        told = events.after(conn, 0)
    pairs = [(one.data["writer"], one.data["part"]) for one in told]
    assert all(first == (second[0], 0) and second[1] == 1 for first, second in zip(pairs[::2], pairs[1::2], strict=True))
    opened.close()


def test_joins_are_the_same_when_shippers_race(pair: Pair, store_url: str, opened: Store) -> None:
    pair.run(writers.log_rows, store_url)
    with opened.read() as conn:
        predictions = [dict(row) for row in conn.execute(select(schema.predictions)).mappings()]
        labels = [dict(row) for row in conn.execute(select(schema.labels)).mappings()]
        assert len(labels) == 100
        assert joined(conn) == expected([*predictions, *labels])
    opened.close()
