"""Whether Treadle's shipper keeps up while its service is loaded: time that is borrowed for later is no speed."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.long_run import trend
from treadle.serving.spool import segments
from treadle.settings import Workspace
from treadle.state import log
from treadle.state.store import Store, open_store

TOLERATED = 0.05
"""The share of what is written that may stay behind, in a measurement that is only a few seconds long."""
LEAST_SECONDS = 4.0
"""In less, the shipper's pauses say more than its pace."""
DRAIN_SECONDS = 60.0


class BacklogStaysError(Exception):
    """The spool is not shipped although nobody asks any more."""


@dataclass(frozen=True)
class Look:
    """At one time (seconds of the monotonic clock): the bytes that were ever written to the spool, and those not shipped yet."""

    at: float
    written: int
    waiting: int


class Probe:
    """Looks at the spool of one service."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock
        self._store: Store = open_store(workspace.store_url)
        self._sizes: dict[str, int] = {}

    def look(self) -> Look:
        """Look once."""
        now, waiting = self._clock(), 0
        with self._store.read() as conn:
            for path in segments(self._workspace.spool_dir):
                try:
                    size = path.stat().st_size
                except FileNotFoundError:  # it has just been shipped to its end
                    continue
                self._sizes[path.stem] = size
                waiting += size - log.offset(conn, path.stem)
        return Look(now, sum(self._sizes.values()), waiting)

    def drained(self) -> float:
        """Wait until all is shipped; return how many seconds that took.

        Raises:
            BacklogStaysError: it takes longer than a minute.
        """
        began = self._clock()
        while self.look().waiting:
            if self._clock() - began > DRAIN_SECONDS:
                raise BacklogStaysError(f"the spool was not empty {DRAIN_SECONDS:.0f} s after the load")
            time.sleep(0.02)
        return self._clock() - began

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


def behind(looks: Sequence[Look]) -> float:
    """Return which share of what was written during the looks stayed behind, 0 where the backlog does not grow for sure.

    The first quarter is left out: a backlog rises from nothing to its level before it can be level.
    """
    kept = looks[len(looks) // 4 :]
    if len(kept) < 20 or kept[-1].at - kept[0].at < 0.75 * LEAST_SECONDS:
        return 0.0
    at = [look.at - kept[0].at for look in kept]
    waiting = trend(at, [look.waiting for look in kept])
    written = float(np.polyfit(at, [look.written for look in kept], 1)[0]) * 3600
    return waiting.slope / written if written > 0 and waiting.slope > waiting.noise else 0.0


def grows(looks: Sequence[Look]) -> str:
    """Say that the backlog grows, or nothing where it does not, or by no more than is tolerated."""
    share = behind(looks)
    return f"the shipper left {share:.0%} of what was logged behind" if share > TOLERATED else ""


def waiting(looks: Sequence[Look]) -> float:
    """Return how many seconds of traffic wait in the spool: the middle of the later half of the looks."""
    later = looks[len(looks) // 2 :]
    if len(later) < 2 or later[-1].written <= later[0].written:
        return 0.0
    pace = (later[-1].written - later[0].written) / (later[-1].at - later[0].at)
    return statistics.median(look.waiting for look in later) / pace
