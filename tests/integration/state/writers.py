"""What the processes of test_concurrency do; each waits for the others before it begins."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import TypeVar

from tests.unit.state.rows import label, prediction
from treadle.errors import GenerationConflict, TurnAlreadyOpen
from treadle.state import deployments, episodes, events, joins, lease, log, turns
from treadle.state.deployments import Slot
from treadle.state.store import open_store

T = TypeVar("T")
_START: list[Barrier] = []


class Pair:
    """Two processes that begin their work at the same moment."""

    def __init__(self) -> None:
        """Start both; they end with ``close``."""
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(2, mp_context=spawn, initializer=_remember, initargs=(spawn.Barrier(2),))

    def run(self, work: Callable[[str, int], T], url: str, *, seconds: float = 60) -> list[T]:
        """Run ``work(url, 0)`` and ``work(url, 1)`` side by side and return what each returned."""
        return list(self._pool.map(work, [url] * 2, range(2), timeout=seconds))

    def close(self) -> None:
        """End both processes."""
        self._pool.shutdown()


def _remember(start: Barrier) -> None:
    _START.append(start)


def begin() -> None:
    """Wait for the other process."""
    _START[0].wait(100)


def make_tables(url: str, number: int) -> int:
    """Open a store that is not there yet."""
    begin()
    store = open_store(url)
    with store.write() as conn:
        seq = events.append(conn, "opened", at=number, data={}).seq
    store.close()
    return seq


def insert_generations(url: str, number: int) -> list[int]:
    """Try to insert generations 1 to 20, one after the other; return those that were won."""
    store = open_store(url)
    begin()
    won = []
    for expected in range(20):
        slots = [Slot("champion", number, f"digest{number}", 1.0)]
        try:
            with store.write() as conn:
                won.append(deployments.insert(conn, "churn", expected=expected, slots=slots, reason="Mine.", at=1.0).generation)
        except GenerationConflict:
            continue
    store.close()
    return won


def open_a_turn(url: str, number: int) -> str | None:
    """Try to open a turn; return its id if that was won."""
    store = open_store(url)
    begin()
    try:
        with store.write() as conn:
            return turns.open_turn(conn, "churn", cause="Drift.", episode=None, step="collect", at=number).id
    except TurnAlreadyOpen:
        return None
    finally:
        store.close()


def open_an_episode(url: str, number: int) -> str:
    """Open an episode, or find the one that another has opened."""
    store = open_store(url)
    begin()
    with store.write() as conn:
        found = episodes.open_episode(conn, "churn", version=1, signal="drift", onset=0.0, evidence={}, at=number).id
    store.close()
    return found


def take_the_lease(url: str, number: int) -> int | None:
    """Try to take the lease; return its token if that was won."""
    store = open_store(url)
    begin()
    held = lease.acquire(store, "loop", f"holder{number}", ttl=10.0, now=1.0)
    store.close()
    return held.token if held else None


def append_many(url: str, number: int) -> int:
    """Append 200 events, two in each transaction; every fourth transaction is given up."""
    store = open_store(url)
    begin()
    kept = 0
    for turn in range(100):
        try:
            with store.write() as conn:
                for part in range(2):
                    events.append(conn, "thing.happened", at=turn, data={"writer": number, "part": part})
                _give_up(turn % 4 == 3)
            kept += 2
        except ZeroDivisionError:
            continue
    store.close()
    return kept


def _give_up(really: bool) -> None:  # noqa: FBT001 - read as a sentence where it is called
    if really:
        raise ZeroDivisionError


def log_rows(url: str, number: int) -> int:
    """Insert predictions of a few entities, late ones too, and labels of them, and join them on the way."""
    store = open_store(url)
    begin()
    for batch in range(25):
        times = [float(batch * 10 + step) for step in (number, 5 - 20 * (batch % 3 == 2))]
        rows = [prediction(f"{number}-{batch}-{at}", entity=f"e{batch % 3}", request_id=f"r{batch % 4}", at=at) for at in times]
        keys = [{"entity": f"e{batch % 3}"}, {"request_id": f"r{batch % 4}"}]
        told = [label(f"{number}-{batch}-{place}", event_at=batch * 10 + 4.5, **key) for place, key in enumerate(keys)]
        with store.write() as conn:
            log.insert_predictions(conn, rows)
            log.insert_labels(conn, told)
        with store.write() as conn:
            joins.resolve_labels(conn, now=0.0, expire={})
    store.close()
    return 25
