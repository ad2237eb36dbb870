"""What goes on while a store is upgraded: processes that were started by the Treadle before, with its columns and no others."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Self

import numpy as np

from tests.unit.state.rows import label, prediction
from treadle.state import deployments, events, joins, log
from treadle.state.log import Part
from treadle.state.store import Store

MOST = 20_000
"""A process that nobody stops ends by itself."""


@dataclass(frozen=True)
class Seen:
    """What a process did: how often, how long the longest step took, and what went wrong."""

    times: int
    longest: float
    trouble: str = ""


def write(store: Store, number: int) -> None:
    """Log ten predictions and a label, count them and tell of it, as the shipper does."""
    rows = [
        prediction(f"w-{number}-{place}", request_id=f"w-{number}-{place}", entity=f"e-{number}", at=float(number)) for place in range(10)
    ]
    with store.write() as conn:
        log.insert_predictions(conn, rows)
        log.insert_labels(conn, [label(f"w-{number}", entity=f"e-{number}", event_at=float(number + 1))])
        log.add_part(conn, "w", number, Part("churn", 1, "p", float(number), np.arange(6), len(rows)))
        log.advance_segment(conn, "w", number, start=max(number - 1, 0), sealed=False, at=float(number))
        joins.resolve_labels(conn, now=0.0, expire={})
        events.append(conn, "thing.happened", at=float(number), data={"number": number})


def read(store: Store, _number: int) -> None:
    """Read what a follower, the monitor and an auditor read, in another order than the writer writes it."""
    with store.read() as conn:
        events.verify(conn)
        deployments.current_all(conn)
        log.totals(conn, "churn")
        log.labelled(conn, "churn", since=0.0, until=1e12, n_features=3, n_scores=2)


class Going:
    """One process that does ``step`` again and again on a store that it opened before the upgrade."""

    def __init__(self, step: Callable[[Store, int], None], url: str) -> None:
        """Start it and wait until it has done its first step."""
        spawn = multiprocessing.get_context("spawn")
        self._begun, self._stop, self._seen = spawn.Event(), spawn.Event(), spawn.Queue()
        self._process = spawn.Process(target=_go_on, args=(step, url, self._begun, self._stop, self._seen))

    def __enter__(self) -> Self:
        self._process.start()
        assert self._begun.wait(60)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()

    def end(self) -> Seen:
        """Let it end after some more steps, and return what it saw."""
        self._stop.set()
        seen: Seen = self._seen.get(timeout=60)
        return seen


def _go_on(step: Callable[[Store, int], None], url: str, begun: Event, stop: Event, seen: "Queue[Seen]") -> None:
    store, longest, number, left = Store(url), 0.0, 0, 5
    try:
        while number < MOST and left:
            left -= stop.is_set()  # some steps more on the new schema
            start = time.monotonic()
            step(store, number)
            longest = max(longest, time.monotonic() - start)
            number += 1
            begun.set()
    except BaseException:
        seen.put(Seen(number, longest, traceback.format_exc()))
        raise
    seen.put(Seen(number, longest))
    store.close()
