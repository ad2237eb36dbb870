"""Traffic against a real worker over HTTP: what the client counts is what the store has."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import uvicorn
from sqlalchemy import select

from tests import small_bundles
from tests.shipping import ship_all
from tests.small_bundles import INTERFACE
from tests.small_service import Service
from treadle.bundle.place import BundlePlace
from treadle.errors import ServiceUnreachable
from treadle.simulation.traffic import TICK, Pace, Traffic, canonical_answer
from treadle.state.schema import labels, predictions

pytestmark = pytest.mark.integration


class Town:
    """A world of a few customers; once it has shifted, all have stayed for longer."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.count = itertools.count()

    def draw(self, count: int, *, shifted: bool = False) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "tenure": np.full(count, 50 if shifted else 1),
                "spend": self.random.uniform(0, 100, count),
                "customer": [f"c{next(self.count)}" for _ in range(count)],
                "left": self.random.choice(["no", "yes"], count),
            }
        )


class Street:
    """A worker behind a port, and a clock that leaps a tick whenever it is read: nobody waits."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder)
        self.service.follow(self.service.slot(small_bundles.answering(), 1))
        self.now = 0.0
        self.open()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def open(self, port: int = 0) -> None:
        self.server = uvicorn.Server(uvicorn.Config(self.service.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        end = time.monotonic() + 30
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.01)

    def shut(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)

    def clock(self) -> float:
        self.now += TICK
        return self.now

    def traffic(self, pace: Pace, model: str = "churn") -> Traffic:
        return Traffic(f"http://127.0.0.1:{self.port}", model, INTERFACE, Town(), pace, clock=self.clock)

    def ship(self) -> None:
        ship_all(self.service.store, self.service.spool_folder, BundlePlace(self.service.bundles))

    def stored(self) -> list[tuple[str, int, str]]:
        """Return (id, version, answer) of every answered prediction in the store."""
        self.ship()
        of = predictions.c
        with self.service.store.read() as conn:
            rows = conn.execute(select(of.prediction_id, of.version, of.answer).where(of.status == "ok"))
            return sorted((row[0], row[1], canonical_answer(json.loads(row[2]))) for row in rows)

    def labelled(self) -> int:
        self.ship()
        with self.service.store.read() as conn:
            return len(conn.execute(select(labels.c.prediction_id)).all())

    def close(self) -> None:
        self.shut()
        self.service.close()


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.close()


def test_what_the_client_received_is_what_the_store_has(street: Street) -> None:
    traffic = street.traffic(Pace(rate=100, singles=0.3, delay=0.5))
    tally = asyncio.run(traffic.run(4))
    assert tally.failed == 0
    assert tally.rows == len(tally.received) == tally.requests // 4 * 10 > 30  # three singles and one batch of seven a bite
    assert sorted((one.prediction_id, one.version, one.answer) for one in tally.received) == street.stored()
    assert 0 < tally.labels < tally.rows
    asyncio.run(traffic.settle())
    assert tally.labels == tally.rows == street.labelled()


def test_a_shift_is_seen_in_what_is_sent(street: Street) -> None:
    traffic = street.traffic(Pace(rate=50))
    asyncio.run(traffic.run(1))
    traffic.shifted = True
    asyncio.run(traffic.run(1))
    street.ship()
    with street.service.store.read() as conn:
        rows = conn.execute(select(predictions.c.row)).scalars().all()
    assert {float(np.frombuffer(row, dtype="<f4")[0]) for row in rows} == {1.0, 50.0}


def test_less_than_a_row_a_tick_is_saved_up(street: Street) -> None:
    tally = asyncio.run(street.traffic(Pace(rate=2.5, singles=1)).run(2.5))
    assert 0 < tally.rows < 5


def test_failures_are_counted_not_raised(street: Street) -> None:
    traffic = street.traffic(Pace(rate=50, singles=0.5), model="nobody")
    tally = asyncio.run(traffic.run(1))
    assert tally.failed == tally.requests > 0
    assert tally.received == []
    assert "404" in tally.failures[0]


def test_labels_that_could_not_be_told_are_told_later(street: Street) -> None:
    traffic = street.traffic(Pace(rate=50, delay=1_000))
    tally = asyncio.run(traffic.run(1))
    street.shut()
    asyncio.run(traffic.settle())
    assert tally.labels == 0
    street.open(street.port)
    asyncio.run(traffic.settle())
    assert tally.labels == len(tally.received) == street.labelled() > 0


def test_a_service_that_goes_away_in_the_middle_fails_requests_and_not_the_stream(street: Street) -> None:
    class Gone(Town):
        def draw(self, count: int, *, shifted: bool = False) -> pd.DataFrame:
            street.shut()
            return super().draw(count, shifted=shifted)

    traffic = Traffic(f"http://127.0.0.1:{street.port}", "churn", INTERFACE, Gone(), Pace(rate=50), clock=street.clock)
    tally = asyncio.run(traffic.run(1))
    assert tally.failed == tally.requests > 0
    assert all(f"127.0.0.1:{street.port}" in told for told in tally.failures)


def test_a_stream_to_nobody_is_refused_at_its_start(free_port: int) -> None:
    traffic = Traffic(f"http://127.0.0.1:{free_port}/", "churn", INTERFACE, Town(), Pace())
    with pytest.raises(ServiceUnreachable, match=f"127.0.0.1:{free_port}"):
        asyncio.run(traffic.run(1))


def test_a_stream_stops_when_it_is_told_to(street: Street) -> None:
    async def stopped() -> int:
        stop = asyncio.Event()
        stop.set()
        return (await street.traffic(Pace()).run(1_000, stop=stop)).requests

    assert asyncio.run(stopped()) == 0
