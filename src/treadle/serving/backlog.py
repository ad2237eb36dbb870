"""How far the shipper is behind the workers, and how long a batch waits for it.

A worker can answer batches faster than any database takes their rows. Without an end the spool would grow until the disk is full, so a
batch waits while the shipper catches up, in proportion to its rows. Rows that are asked for one by one never wait; a shipper keeps up
with those.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from treadle.serving.mapped import own, shared

LIGHT = 0.05
"""Seconds that the shipper may be behind before anybody waits."""

MOST_ROWS = 1000
"""Rows of a batch that waits for all that is before it."""

LONGEST = 0.5
"""Seconds that a batch waits at most: after an outage there is much to ship, and callers go on meanwhile."""

_NEWEST = 0.2
"""Weight of the newest step in the pace."""

logger = logging.getLogger(__name__)


class Backlog:
    """Seconds that the shipper of this host needs for what waits in the spool; what it tells, the workers see."""

    def __init__(self, path: Path | None = None) -> None:
        """Share the number in a file; without one nobody else sees it."""
        self._seconds = own(1)
        try:
            if path:
                self._seconds = shared(path, 1)
        except OSError as error:
            logger.warning("no batch waits for the shipper: %s: %s", path, error.strerror)

    def tell(self, seconds: float) -> None:
        """Tell how long the shipper will need; 0 also while there is no store to ship to: to wait would gain nothing."""
        self._seconds[0] = seconds

    @property
    def seconds(self) -> float:
        """The seconds that were told last."""
        return self._seconds[0]

    def pause(self, rows: int) -> float:
        """Return the seconds that a batch of so many rows waits."""
        return pause(rows, self.seconds)


def pause(rows: int, behind: float) -> float:
    """Return how long a batch waits for a shipper that is so many seconds behind, in seconds."""
    return min(max(behind - LIGHT, 0.0) * rows / MOST_ROWS, LONGEST)


class Pace:
    """How fast the shipper goes: seconds for a byte of the spool, of which the last steps count most. It is told as a backlog."""

    def __init__(self, backlog: Backlog, *, timer: Callable[[], float] = time.perf_counter) -> None:
        self._backlog = backlog
        self._timer = timer
        self._began = 0.0
        self._shipped = 0
        self._seconds_of_byte = 0.0

    def begin(self) -> None:
        """Begin a step."""
        self._began, self._shipped = self._timer(), 0

    def add(self, shipped: int) -> None:
        """Take in that so many bytes of a step are shipped."""
        self._shipped += shipped

    def end(self, waiting: int) -> None:
        """End a step; so many bytes are left."""
        if self._shipped:
            taken = (self._timer() - self._began) / self._shipped
            self._seconds_of_byte += _NEWEST * (taken - self._seconds_of_byte) if self._seconds_of_byte else taken
        self._backlog.tell(waiting * self._seconds_of_byte)

    def stop(self) -> None:
        """Ship no more, for now."""
        self._backlog.tell(0)
